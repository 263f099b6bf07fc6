// Every type of PostgreSQL with its hardest values, into Snowflake (emulated): what arrives prints as it printed at the source, or the load
// is refused.

import { afterAll, expect, test } from 'vitest'
import { columnName, HARD, type HardColumn, makeHard } from '../pairs/hard-values.ts'
import { startSnowflake } from './emulated.ts'
import { startSnowflakeLoading } from './loading.ts'

const server = await startSnowflake()
afterAll(() => server.stop())

const PIPELINES = { hard: { source: { table: 'hard' }, target: { table: 'hard' } } }

type Kind = 'instant' | 'timestamp' | 'time' | 'date' | 'number' | 'float' | 'bytes' | 'boolean' | 'text'

function kindOf({ type }: HardColumn): Kind {
  if (/^timestamptz/.test(type)) return 'instant'
  if (/^timestamp/.test(type)) return 'timestamp'
  if (/^time(\(|$)/.test(type)) return 'time'
  if (type === 'date' || type === 'boolean') return type
  if (/^numeric\((38,0|4,2|3,-2|2,5)\)$/.test(type)) return 'number'
  if (/^(real|double)/.test(type)) return 'float'
  return type === 'bytea' ? 'bytes' : 'text'
}

/** What Snowflake has no room for: infinities, years before 1 and after 9999, NaN as a number, a day of 24 hours. */
function isRefused(column: HardColumn, value: string): boolean {
  const kind = kindOf(column)
  if (kind === 'number') return value === 'NaN'
  return ['instant', 'timestamp', 'date', 'time'].includes(kind) && /infinity|BC$|^\d{5,}-|^24:00/.test(value)
}

const AT_SOURCE: Readonly<Record<Kind, (name: string) => string>> = {
  instant: (name) => `to_char(${name} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')`,
  timestamp: (name) => `to_char(${name}, 'YYYY-MM-DD HH24:MI:SS.US')`,
  time: (name) => `round(extract(epoch FROM ${name})::numeric, 9)::text`,
  date: (name) => `${name}::text`,
  number: (name) => `${name}::text`,
  float: (name) => `replace(${name}::float8::text, 'Infinity', 'inf')`,
  bytes: (name) => `upper(encode(${name}, 'hex'))`,
  boolean: (name) => `CASE ${name} WHEN true THEN 'true' WHEN false THEN 'false' END`,
  // A mark of byte order at the beginning is lost to whoever looks.
  text: (name) => `length(${name}::text) || ':' || ${name}::text`,
}

const AT_TARGET: Readonly<Record<Kind, (name: string) => string>> = {
  instant: (name) => `TO_VARCHAR(${name}, 'YYYY-MM-DD HH24:MI:SS.FF6')`,
  timestamp: (name) => `TO_VARCHAR(${name}, 'YYYY-MM-DD HH24:MI:SS.FF6')`,
  time: (name) => name,
  date: (name) => `TO_VARCHAR(${name}, 'YYYY-MM-DD')`,
  number: (name) => name,
  float: (name) => name,
  bytes: (name) => `TO_VARCHAR(${name}, 'HEX')`,
  boolean: (name) => `TO_VARCHAR(${name})`,
  text: (name) => `LENGTH(TO_VARCHAR(${name})) || ':' || TO_VARCHAR(${name})`,
}

test('every value that fits arrives as it was; a rerun changes nothing', async () => {
  const columns = HARD.map((column) => ({ ...column, values: column.values.filter((value) => !isRefused(column, value)) })).filter(
    ({ values }) => values.length > 0,
  )
  await using all = await startSnowflakeLoading(server, PIPELINES)
  const { source } = all.loading
  const rows = await makeHard(source, columns)
  expect(await all.loading.run()).toMatchObject({ error: null, rows: { inserted: rows } })
  const wrong: string[] = []
  for (const [index, column] of columns.entries()) {
    const kind = kindOf(column)
    const name = columnName(index)
    const there = (await source.rows(`SELECT ${AT_SOURCE[kind](name)} AS v FROM hard ORDER BY id`)).map(({ v }) => v ?? null)
    const here = (await all.schema.query(`SELECT ${AT_TARGET[kind](name)} FROM $.hard ORDER BY id`)).map(([v]) => v ?? null)
    const same = (a: string | null, b: string | null): boolean =>
      a === (b?.replace(/^(-?)\./, '$10.') ?? null) || (kind === 'float' && a !== null && b !== null && Object.is(numberOf(a), numberOf(b)))
    there.forEach((value, row) => {
      const found = here[row] ?? null
      if (!same(value, found)) wrong.push(`${column.type}: ${String(value).slice(0, 40)} became ${String(found).slice(0, 40)}`)
    })
  }
  expect(wrong).toEqual([])
  for (const request of [{}, { fullRefresh: true }])
    expect(await all.loading.run(request)).toMatchObject({ error: null, rows: { inserted: 0, updated: 0, deleted: 0 } })
})

function numberOf(text: string): number {
  const word = text.toLowerCase()
  return word === 'inf' ? Infinity : word === '-inf' ? -Infinity : Number(text)
}

const REFUSED = HARD.flatMap((column) =>
  column.values.filter((value) => isRefused(column, value)).map((value) => [column.type, value] as const),
)

test('what does not fit is refused, each value by itself', async () => {
  await using all = await startSnowflakeLoading(server, PIPELINES)
  const { source } = all.loading
  for (const [type, value] of REFUSED) {
    await source.run(
      `DROP TABLE IF EXISTS hard; CREATE TABLE hard (id int PRIMARY KEY, c ${type}, updated_at timestamptz NOT NULL DEFAULT now());
       INSERT INTO hard VALUES (1, '${value}')`,
    )
    const { error } = await all.loading.run({}, { retries: 0 })
    expect({ type, value, error: `${error?.code} ${error?.message}` }).toEqual({
      type,
      value,
      error: expect.stringMatching(/^value-refused .*in column "C", row 1 /),
    })
    await all.schema.query('DROP TABLE $.hard')
  }
})
