// What DuckDB is taught at the start: casts that depend on the type of what is cast, and how values are written for the driver. Most are
// macros with one body per type, since only DuckDB knows the type of an expression.

import { raisedInSql } from './snowflake-error.ts'

const TZ = 'STRUCT(ts TIMESTAMPTZ, tz SMALLINT)'

const REFUSAL = raisedInSql(
  '000002',
  '0A000',
  'Unsupported feature: this emulator keeps microseconds, unless a column of type TIMESTAMP_NTZ asks for more by its precision.',
)

/** A text with its digits past the microsecond is refused, not cut. */
const kept = (value: string) => `CASE WHEN regexp_matches(x, '\\.\\d{6}\\d*[1-9]') THEN error('${REFUSAL}') ELSE ${value} END`

const ZONE = `'\\s*(Z|[+-]\\d\\d:?\\d\\d)$'`
const HAS_TIME = `'\\d:\\d\\d'`
/** '2024-01-01 10:00 +0900' and '… Z' as DuckDB reads them. */
const ZONED = `regexp_replace(regexp_replace(trim(x), '\\s*([+-]\\d\\d):?(\\d\\d)$', '\\1:\\2'), '\\s*Z$', '+00:00')`
const UNZONED = `CASE WHEN regexp_matches(x, ${HAS_TIME}) THEN regexp_replace(trim(x), ${ZONE}, '') ELSE trim(x) END`
/** The common form, which needs none of the slow patterns. */
const PLAIN = `(x LIKE '____-__-__ __:__:__' OR (length(x) <= 26 AND x LIKE '____-__-__ __:__:__.%' AND regexp_full_match(x[21:], '\\d*')))`
const INSTANT = `CASE WHEN regexp_matches(x, ${HAS_TIME}) THEN ${ZONED} ELSE trim(x) END::TIMESTAMPTZ`
/** Minutes east of Greenwich. */
const MINUTES = `CASE WHEN regexp_matches(x, '\\d:\\d\\d.*[+-]\\d\\d:?\\d\\d$') THEN
  (CASE WHEN regexp_matches(x, '-\\d\\d:?\\d\\d$') THEN -1 ELSE 1 END) *
  (60 * regexp_extract(x, '(\\d\\d):?(\\d\\d)$', 1)::INTEGER + regexp_extract(x, '(\\d\\d):?(\\d\\d)$', 2)::INTEGER) ELSE 0 END::SMALLINT`
const utc = (one: string) => `timezone('UTC', ${one})`
const LOCAL = `(${utc('x.ts')} + to_minutes(x.tz))`

/** For each type its body, in terms of x and of what else the macro is given. */
function macro(name: string, bodies: Readonly<Record<string, string>>, others = ''): string {
  const overloads = Object.entries(bodies).map(([type, body]) => `(x ${type}${others}) AS ${body}`)
  return `CREATE MACRO ${name}${overloads.join(', ')}`
}

const same = (types: readonly string[], body: string) => Object.fromEntries(types.map((type) => [type, body]))

const CASTS: readonly string[] = [
  macro(
    'sf_text',
    {
      ...same(['VARCHAR', 'BOOLEAN', 'BIGINT', 'HUGEINT', 'DECIMAL(38,0)', 'TIME_NS'], 't'),
      DOUBLE: `replace(t, 'nan', 'NaN')`,
      DATE: 'strftime(x, d)',
      TIMESTAMP: 'strftime(x, ntz)',
      TIMESTAMP_NS: 'strftime(x, ns)',
      TIMESTAMPTZ: `strftime(${utc('x')}, ltz)`,
      [TZ]: `replace(replace(strftime(${LOCAL}, tz), '\u0001', CASE WHEN x.tz < 0 THEN '-' ELSE '+' END || printf('%02d', abs(x.tz) // 60)),
        '\u0002', printf('%02d', abs(x.tz) % 60))`,
      BLOB: 'hex(x)',
    },
    ', t, ntz, ltz, tz, d, ns',
  ),
  macro('sf_ntz', {
    VARCHAR: `CASE WHEN ${PLAIN} THEN x::TIMESTAMP ELSE ${kept(`(${UNZONED})::TIMESTAMP`)} END`,
    TIMESTAMP: 'x',
    TIMESTAMP_NS: 'x::TIMESTAMP',
    DATE: 'x::TIMESTAMP',
    TIMESTAMPTZ: utc('x'),
    [TZ]: LOCAL,
  }),
  macro('sf_ntz_ns', {
    VARCHAR: `(${UNZONED})::TIMESTAMP_NS`,
    TIMESTAMP: 'x::TIMESTAMP_NS',
    TIMESTAMP_NS: 'x',
    DATE: 'x::TIMESTAMP_NS',
    TIMESTAMPTZ: `${utc('x')}::TIMESTAMP_NS`,
    [TZ]: `${LOCAL}::TIMESTAMP_NS`,
  }),
  macro('sf_ltz', {
    VARCHAR: kept(INSTANT),
    TIMESTAMP: utc('x'),
    TIMESTAMP_NS: utc('x::TIMESTAMP'),
    DATE: utc('x::TIMESTAMP'),
    TIMESTAMPTZ: 'x',
    [TZ]: 'x.ts',
  }),
  macro('sf_tz', {
    VARCHAR: kept(`CASE WHEN x IS NOT NULL THEN {'ts': ${INSTANT}, 'tz': ${MINUTES}} END`),
    ...same(['TIMESTAMP', 'DATE'], `CASE WHEN x IS NOT NULL THEN {'ts': ${utc('x::TIMESTAMP')}, 'tz': 0::SMALLINT} END`),
    TIMESTAMPTZ: `CASE WHEN x IS NOT NULL THEN {'ts': x, 'tz': 0::SMALLINT} END`,
    [TZ]: 'x',
  }),
  macro('sf_date', {
    VARCHAR: `(${UNZONED})::TIMESTAMP::DATE`,
    ...same(['DATE', 'TIMESTAMP', 'TIMESTAMP_NS'], 'x::DATE'),
    TIMESTAMPTZ: `${utc('x')}::DATE`,
    [TZ]: `${LOCAL}::DATE`,
  }),
  macro('sf_time', {
    VARCHAR: 'x::TIME_NS',
    TIME_NS: 'x',
    TIMESTAMP: 'x::TIME::TIME_NS',
    TIMESTAMPTZ: `${utc('x')}::TIME::TIME_NS`,
    [TZ]: `${LOCAL}::TIME::TIME_NS`,
  }),
  macro('sf_binary', { VARCHAR: 'unhex(x)', BLOB: 'x' }),
]

const DATES: readonly string[] = [
  'CREATE MACRO sf_add_whole(x DATE, step) AS (x + step)::DATE, (x TIMESTAMP, step) AS x + step, (x TIMESTAMPTZ, step) AS x + step',
]

const WIRE: readonly string[] = [
  'CREATE MACRO sf_wire_us(us) AS (us::DECIMAL(30,0) * 0.000001::DECIMAL(7,6))::DECIMAL(38,9)::VARCHAR',
  'CREATE MACRO sf_wire_ns(ns) AS (ns::DECIMAL(28,0) * 0.000000001::DECIMAL(10,9))::DECIMAL(37,9)::VARCHAR',
]

export const MACROS: readonly string[] = [...CASTS, ...DATES, ...WIRE]
