// Writes the pages of docs/ that are made from the code: `node scripts/generate-docs.ts`. A test compares them with what is
// committed.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { duckdbTypes } from '../src/connectors/duckdb/type-rules.ts'
import { type CatalogType, POSTGRES_TYPES, readType } from '../src/connectors/postgres/column-types.ts'
import { SNOWFLAKE_TYPES } from '../src/connectors/snowflake/type-rules.ts'
import { ERRORS, type ErrorKind } from '../src/core/errors.ts'
import type { Column } from '../src/core/table.ts'

export function errorsPage(): string {
  const kinds = Object.entries<ErrorKind>(ERRORS)
  const exits: Record<number, string> = {
    1: 'a load failed, or the data was refused',
    2: 'wrong usage or project file, or a changed definition that needs a decision',
    3: 'the environment: cannot connect, missing table, column, privilege or driver, read-only or locked target',
    4: 'a comparison found differences',
    5: 'another run moved the pipeline first; nothing is lost, run again',
    130: 'stopped by SIGINT (143: by SIGTERM) after a clean abort',
  }
  return `# Errors

Every error has a code, a message that says what and where, and advice. \`tidemark errors CODE\` prints the same; with \`-o json\` an error
is \`{ "code", "message", "hint", "where" }\`. Messages carry names, counts and positions, never values of rows and never secrets.

Errors marked with *retried* are met by looking again and trying again, three times with growing pauses, before a run gives up. After
any error nothing is half-written: run again.

| exit | means |
| ---- | ----- |
| 0 | done, also when there was nothing to do |
${Object.entries(exits)
  .map(([exit, means]) => `| ${exit} | ${means} |`)
  .join('\n')}

${kinds.map(([code, kind]) => `## ${code}\n\n${kind.meaning} ${kind.hint}\n\nExit ${kind.exit}${kind.retry === 'backoff' ? ', *retried*' : ''}.\n`).join('\n')}`
}

const BASE = { modifier: -1, kind: 'b', builtin: true, hasBinary: true, elementKind: null, elementBuiltin: true }

/** `refuses`: what DuckDB's type can't hold. Another Postgres holds everything. */
const TYPES: readonly (Partial<CatalogType> & { readonly name: string; readonly formatted: string; readonly refuses?: string })[] = [
  { name: 'bool', formatted: 'boolean' },
  { name: 'int2', formatted: 'smallint' },
  { name: 'int4', formatted: 'integer' },
  { name: 'int8', formatted: 'bigint' },
  { name: 'oid', formatted: 'oid' },
  { name: 'float4', formatted: 'real' },
  { name: 'float8', formatted: 'double precision' },
  { name: 'numeric', formatted: 'numeric(10,2)', modifier: ((10 << 16) | 2) + 4, refuses: 'NaN' },
  { name: 'numeric', formatted: 'numeric(38,9)', modifier: ((38 << 16) | 9) + 4, refuses: 'NaN' },
  { name: 'numeric', formatted: 'numeric(50,10)', modifier: ((50 << 16) | 10) + 4 },
  { name: 'numeric', formatted: 'numeric' },
  { name: 'text', formatted: 'text' },
  { name: 'varchar', formatted: 'character varying(20)', modifier: 24 },
  { name: 'bpchar', formatted: 'character(5)', modifier: 9 },
  { name: 'uuid', formatted: 'uuid' },
  { name: 'bytea', formatted: 'bytea' },
  { name: 'json', formatted: 'json' },
  { name: 'jsonb', formatted: 'jsonb' },
  { name: 'xml', formatted: 'xml' },
  { name: 'date', formatted: 'date' },
  { name: 'time', formatted: 'time without time zone' },
  { name: 'timetz', formatted: 'time with time zone' },
  { name: 'timestamp', formatted: 'timestamp without time zone', refuses: 'times after the year 294246' },
  { name: 'timestamptz', formatted: 'timestamp with time zone', refuses: 'times after the year 294246' },
  { name: 'interval', formatted: 'interval', refuses: 'infinity' },
  { name: 'mood', formatted: 'an enum', kind: 'e', builtin: false },
  { name: '_int4', formatted: 'integer[]', elementKind: 'b' },
  { name: '_text', formatted: 'text[]', elementKind: 'b' },
  { name: '_mood', formatted: 'an array of an enum', elementKind: 'e', builtin: false, elementBuiltin: false },
  { name: 'int4range', formatted: 'int4range', kind: 'r' },
  { name: 'tstzrange', formatted: 'tstzrange', kind: 'r' },
  { name: 'point', formatted: 'point' },
  { name: 'polygon', formatted: 'polygon' },
  { name: 'inet', formatted: 'inet' },
  { name: 'cidr', formatted: 'cidr' },
  { name: 'macaddr', formatted: 'macaddr' },
  { name: 'bit', formatted: 'bit(8)', modifier: 8 },
  { name: 'varbit', formatted: 'bit varying' },
  { name: 'tsvector', formatted: 'tsvector' },
  { name: 'jsonpath', formatted: 'jsonpath' },
  { name: 'pg_lsn', formatted: 'pg_lsn' },
  { name: 'xid8', formatted: 'xid8' },
  { name: 'regclass', formatted: 'regclass' },
  { name: 'tidemark_pair', formatted: 'a composite type', kind: 'c', builtin: false },
  { name: 'geometry', formatted: 'a type of an extension', builtin: false },
]

/** What Snowflake's types can't hold, by kind. */
const SNOWFLAKE_LIMITS: Readonly<Record<string, string | undefined>> = {
  decimal: 'NaN',
  date: 'infinity, and years before 1 or after 9999',
  timestamp: 'infinity, and years before 1 or after 9999',
  time: '24:00:00',
}

export function typesPage(): string {
  const rows = TYPES.map(({ refuses, ...type }) => {
    const { type: logical, native } = readType({ ...BASE, ...type })
    const column: Column = { name: 'c', type: logical, native, nullable: true }
    const postgres = POSTGRES_TYPES.targetColumn(column).native ?? ''
    const duckdb = duckdbTypes.targetColumn(column).native ?? ''
    const snowflake = SNOWFLAKE_TYPES.targetColumn(column).native ?? ''
    const asText = duckdb === 'VARCHAR' && (logical.kind !== 'text' || type.kind === 'e')
    const textThere = snowflake === 'VARCHAR' && (logical.kind !== 'text' || type.kind === 'e')
    const limits = SNOWFLAKE_LIMITS[logical.kind]
    return `| ${type.formatted} | ${postgres} | ${postgres === 'text' && type.formatted !== 'text' ? 'exact, as text' : 'exact'} | ${duckdb} | ${asText ? 'exact, as text' : 'exact'}${refuses === undefined ? '' : `; refuses ${refuses}`} | ${snowflake} | ${textThere ? 'exact, as text' : `exact${limits === undefined ? '' : `; refuses ${limits}`}`} |`
  })
  return `# Types

A value is never changed silently. It arrives exactly, or exactly as the text that its own database prints, or the load is refused with
[value-refused](errors.md#value-refused), which names column and row, and nothing of the slice is written.

The table shows the type that a new target table gets. Domains count as what they are made of. A target column of another type that
holds every value, such as \`bigint\` for \`integer\` or \`text\` for anything in Postgres, is left as it is; one that can't is
[schema-conflict](errors.md#schema-conflict).

| PostgreSQL source | in PostgreSQL | values | in DuckDB | values | in Snowflake | values |
| ----------------- | ------------- | ------ | --------- | ------ | ------------ | ------ |
${rows.join('\n')}

* Microseconds, infinite dates and times, NaN and negative zero of floats pass as they are.
* \`numeric\` without limits, or with more than 38 digits, has no equal in DuckDB; text is exact, but sorts as text. A \`query\` can
  cast it: \`SELECT id, amount::numeric(38,9) AS amount, updated_at FROM orders\`.
* \`timestamp without time zone\` stays without one; nothing is converted.
* \`character(n)\` comes to DuckDB without the blanks that Postgres pads it with, which mean nothing in SQL.
* Snowflake has one type of floats, of 64 bits: \`real\` arrives as the same number. \`timestamp with time zone\` is TIMESTAMP_LTZ, the same instant.
  A target column of less than six digits of a second, with a collation, of type VARIANT, or of less scale is refused: it would change values.
* \`json\` keeps its text. \`jsonb\` arrives as Postgres prints it.
`
}

export const GENERATED: Readonly<Record<string, () => string>> = { 'docs/errors.md': errorsPage, 'docs/types.md': typesPage }

if (process.argv[1] === import.meta.filename)
  for (const [path, make] of Object.entries(GENERATED)) writeFileSync(join(import.meta.dirname, '..', path), make())
