// The functions that the emulator knows, each as DuckDB's of the same meaning. One that is not here is refused by name.

import { literal } from './identifiers.ts'
import { unknown } from './snowflake-error.ts'
import { onlyFormat } from './time-formats.ts'
import type { Token } from './tokenizer.ts'

/** Functions that mean the same and only may be called otherwise. */
export const RENAMED: Readonly<Record<string, string>> = {
  ABS: 'abs',
  ANY_VALUE: 'any_value',
  BASE64_ENCODE: 'base64',
  CEIL: 'ceil',
  COALESCE: 'coalesce',
  CONTAINS: 'contains',
  COUNT: 'count',
  COUNT_IF: 'count_if',
  DENSE_RANK: 'dense_rank',
  ENDSWITH: 'ends_with',
  EXP: 'exp',
  FIRST_VALUE: 'first_value',
  FLOOR: 'floor',
  HEX_ENCODE: 'hex',
  IFNULL: 'coalesce',
  LAG: 'lag',
  LAST_VALUE: 'last_value',
  LEAD: 'lead',
  LEFT: 'left',
  LEN: 'length',
  LENGTH: 'length',
  LN: 'ln',
  LOWER: 'lower',
  LPAD: 'lpad',
  LTRIM: 'ltrim',
  MAX: 'max',
  MD5: 'md5',
  MIN: 'min',
  MOD: 'mod',
  NTILE: 'ntile',
  NULLIF: 'nullif',
  NVL: 'coalesce',
  POWER: 'power',
  RANK: 'rank',
  REPEAT: 'repeat',
  REPLACE: 'replace',
  REVERSE: 'reverse',
  RIGHT: 'right',
  ROUND: 'round',
  ROW_NUMBER: 'row_number',
  RPAD: 'rpad',
  RTRIM: 'rtrim',
  SHA2: 'sha256',
  SIGN: 'sign',
  SPLIT_PART: 'split_part',
  SQRT: 'sqrt',
  STARTSWITH: 'starts_with',
  SUBSTR: 'substr',
  SUBSTRING: 'substr',
  SUM: 'sum',
  TRIM: 'trim',
  UPPER: 'upper',
}

/** What a function needs of its statement. */
export interface CallContext {
  /** A cast, as a CAST would do it. */
  cast(expression: string, type: string, attempt: boolean): string
  /** What the session knows: time, user, role. */
  session(name: string): string | null
  streamHasData(name: string): boolean
}

export interface Call {
  readonly name: string
  /** The arguments, translated. */
  readonly args: readonly string[]
  /** The same as they stand in the statement. */
  readonly tokens: readonly (readonly Token[])[]
  readonly context: CallContext
  /** NULL instead of an error, as in TRY_TO_DATE. */
  readonly attempt: boolean
}

const PARTS = ['microsecond', 'millisecond', 'second', 'minute', 'hour', 'day', 'week', 'month', 'quarter', 'year']

function part(call: Call, at = 0): string {
  const name = (call.tokens[at]?.[0]?.text ?? '').toLowerCase().replace(/s$/, '')
  if (!PARTS.includes(name)) throw unknown(`${name || 'no name'} as a part of a time in ${call.name}`)
  return name
}

function constant(call: Call, at: number): string {
  const token = call.tokens[at]?.[0]
  if (token?.kind !== 'string' || call.tokens[at]!.length > 1) throw unknown(`${call.name} with a format that is not a text`)
  return token.text
}

/** A conversion with the name of its type, and none of a format. */
const conversion = (type: string) => (call: Call) => {
  if (call.args.length !== 1) throw unknown(`${call.name} with a format`)
  return call.context.cast(call.args[0]!, type, call.attempt)
}

function toNumber(call: Call): string {
  const [value, ...digits] = call.args
  if (digits.length === 1 && /^'X+'$/.test(digits[0]!)) return `CAST(CAST('0x' || (${value}) AS UBIGINT) AS DECIMAL(38,0))`
  if (digits.some((one) => !/^\d+$/.test(one))) throw unknown(`${call.name} with a format`)
  return call.context.cast(value!, digits.length > 0 ? `NUMBER(${digits.join(',')})` : 'NUMBER', call.attempt)
}

function toText(call: Call): string {
  const [value] = call.args
  if (call.args.length === 1) return call.context.cast(value!, 'VARCHAR', false)
  const format = constant(call, 1)
  if (/^(HEX|UTF-?8)$/i.test(format)) return /HEX/i.test(format) ? `hex(${value})` : `decode(${value})`
  return `sf_text((${value}), (${value})::VARCHAR, ${onlyFormat(format)})`
}

function addToDate(call: Call): string {
  const unit = part(call)
  const [, amount, value] = call.args
  const step =
    unit === 'quarter' ? `to_months(3 * (${amount})::INTEGER)` : `to_${unit}s((${amount})::${unit === 'second' ? 'DOUBLE' : 'INTEGER'})`
  const whole = ['day', 'week', 'month', 'quarter', 'year'].includes(unit)
  return whole ? `sf_add_whole((${value}), ${step})` : `((${value}) + ${step})`
}

const nullWhenAny = (name: string) => (call: Call) =>
  `CASE WHEN ${call.args.map((one) => `(${one}) IS NULL`).join(' OR ')} THEN NULL ELSE ${name}(${call.args.join(', ')}) END`

const hashed = (call: Call) => `hash(${call.args.map((one) => (one === '*' ? '*COLUMNS(*)' : one)).join(', ')})::DECIMAL(38,0)`

const TEMPLATES: Readonly<Record<string, (call: Call) => string>> = {
  ARRAY_CONSTRUCT: ({ args }) => `json_array(${args.join(', ')})`,
  BITXOR_AGG: ({ args }) => `bit_xor((${args[0]})::HUGEINT)`,
  CONCAT: ({ args }) => `(${args.map((one) => `(${one})`).join(' || ')})`,
  CONVERT_TIMEZONE: (call) => {
    if (call.args.length !== 3) throw unknown('CONVERT_TIMEZONE with two arguments')
    return `timezone(${call.args[1]}, timezone(${call.args[0]}, ${call.context.cast(call.args[2]!, 'TIMESTAMP_NTZ', false)}))`
  },
  DATEADD: addToDate,
  DATEDIFF: (call) => `date_diff('${part(call)}', ${call.args[1]}, ${call.args[2]})`,
  DATE_PART: (call) => `date_part('${part(call)}', ${call.args[1]})`,
  DATE_TRUNC: (call) => `date_trunc('${part(call)}', ${call.args[1]})`,
  EQUAL_NULL: ({ args }) => `((${args[0]}) IS NOT DISTINCT FROM (${args[1]}))`,
  GREATEST: nullWhenAny('greatest'),
  HEX_DECODE_BINARY: conversion('BINARY'),
  HASH: (call) => `(${hashed(call)} - 9223372036854775808)`,
  HASH_AGG: (call) => `((coalesce(sum(${hashed(call)}), 0) % 18446744073709551616) - 9223372036854775808)::DECIMAL(19,0)`,
  IFF: ({ args }) => `CASE WHEN ${args[0]} THEN ${args[1]} ELSE ${args[2]} END`,
  LEAST: nullWhenAny('least'),
  NVL2: ({ args }) => `CASE WHEN (${args[0]}) IS NOT NULL THEN ${args[1]} ELSE ${args[2]} END`,
  OBJECT_CONSTRUCT: ({ args }) => `json_object(${args.join(', ')})`,
  PARSE_JSON: ({ args }) => `json((${args[0]})::JSON)`,
  SEQ4: () => '(row_number() OVER () - 1)',
  SEQ8: () => '(row_number() OVER () - 1)',
  SYSTEM$STREAM_HAS_DATA: (call) => String(call.context.streamHasData(constant(call, 0))),
  TIMESTAMPADD: addToDate,
  TO_BINARY: (call) => {
    const format = call.args.length > 1 ? constant(call, 1) : 'HEX'
    if (!/^(HEX|UTF-?8)$/i.test(format)) throw unknown(`the format ${format} of TO_BINARY`)
    return /HEX/i.test(format) ? call.context.cast(call.args[0]!, 'BINARY', call.attempt) : `encode(${call.args[0]})`
  },
  TO_BOOLEAN: conversion('BOOLEAN'),
  TO_CHAR: toText,
  TO_DATE: conversion('DATE'),
  TO_DECIMAL: toNumber,
  TO_DOUBLE: conversion('FLOAT'),
  TO_JSON: ({ args }) => `(${args[0]})::VARCHAR`,
  TO_NUMBER: toNumber,
  TO_TIME: conversion('TIME'),
  TO_TIMESTAMP: conversion('TIMESTAMP_NTZ'),
  TO_TIMESTAMP_LTZ: conversion('TIMESTAMP_LTZ'),
  TO_TIMESTAMP_NTZ: conversion('TIMESTAMP_NTZ'),
  TO_TIMESTAMP_TZ: conversion('TIMESTAMP_TZ'),
  TO_VARCHAR: toText,
  TO_VARIANT: conversion('VARIANT'),
  TRY_PARSE_JSON: ({ args }) => `json(TRY_CAST((${args[0]}) AS JSON))`,
  UUID_STRING: () => 'uuid()::VARCHAR',
  ZEROIFNULL: ({ args }) => `coalesce(${args[0]}, 0)`,
}

/** The call in DuckDB's words, or null where the function only has another name. */
export function translateCall(call: Call): string | null {
  const template = TEMPLATES[call.name]
  if (template) return template(call)
  if (call.name.startsWith('TRY_TO_')) {
    const plain = TEMPLATES[call.name.slice(4)]
    if (plain) return plain({ ...call, name: call.name.slice(4), attempt: true })
  }
  const ofSession = call.context.session(call.name)
  if (ofSession !== null) return ofSession
  if (RENAMED[call.name] === undefined) throw unknown(`the function ${call.name}`)
  return null
}

export function sessionText(value: string | null): string {
  return value === null ? 'NULL::VARCHAR' : literal(value)
}
