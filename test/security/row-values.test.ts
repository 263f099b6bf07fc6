// Values of rows stay out of every error, whichever database refused them and however much of them it quoted.

import { expect, test } from 'vitest'
import { duckdbRun } from '../servers/duckdb-file.ts'
import { startLoading } from '../servers/loading.ts'
import { startCli } from '../servers/run-cli.ts'

const THINGS = `CREATE TABLE things (id int PRIMARY KEY, note text, n int, updated_at timestamptz NOT NULL DEFAULT '2024-01-01');
  INSERT INTO things VALUES (1, 'sparrow one', 7), (2, 'sparrow two', 7)`
const OWN = 'CREATE TABLE things (id int PRIMARY KEY, note text, n int'

const REFUSALS: readonly (readonly [code: string, target: string | null, pipeline: Readonly<Record<string, unknown>>])[] = [
  ['constraint-violated', `${OWN}, updated_at timestamptz, CHECK (note !~ 'two'))`, {}],
  ['constraint-violated', `${OWN}, updated_at timestamptz, must text NOT NULL)`, {}],
  ['duplicate-key', `${OWN}, updated_at timestamptz, UNIQUE (n)); INSERT INTO things VALUES (9, 'sparrow nine', 7)`, {}],
  [
    'constraint-violated',
    `${OWN}, updated_at timestamptz) PARTITION BY RANGE (id); CREATE TABLE part PARTITION OF things FOR VALUES FROM (2) TO (3)`,
    {},
  ],
  [
    'constraint-violated',
    `CREATE TABLE other (note text PRIMARY KEY); ${OWN}, updated_at timestamptz, FOREIGN KEY (note) REFERENCES other)`,
    {},
  ],
  ['value-refused', null, { where: 'note::int > 0' }],
  ['value-refused', null, { where: "to_date(note, 'YYYY') > now()" }],
  ['value-refused', null, { where: 'note::jsonb IS NOT NULL' }],
]

test.each(REFUSALS)('values of rows stay out of what is said of %s (%s %o)', async (code, own, pipeline) => {
  await using loading = await startLoading({ pipelines: { things: { source: { table: 'things' }, ...pipeline } } })
  await loading.source.run(THINGS)
  if (own !== null) await loading.target.run(own)
  const { error } = await loading.run()
  expect(error?.code).toBe(code)
  expect(JSON.stringify(error)).not.toContain('sparrow')
  const { exit, text } = await startCli(loading.folder.path, ['run', '-v'], loading.env).done
  expect(exit).not.toBe(0)
  expect(text).not.toContain('sparrow')
})

test.each(['UNIQUE (n)', "CHECK (note NOT LIKE '%two')", 'UNIQUE (note, n), CHECK (n > 100)'])(
  'DuckDB too says nothing of values: %s',
  async (constraint) => {
    await using loading = await startLoading({ target: 'duckdb', pipelines: { things: { source: { table: 'things' } } } })
    await loading.source.run(THINGS)
    await duckdbRun(loading.side as string, `CREATE TABLE things (id int, note text, n int, updated_at timestamptz, ${constraint})`)
    const { exit, text } = await loading.cli(['run', '-v'])
    expect(exit).not.toBe(0)
    expect(text).toMatch(/constraint-violated|duplicate-key/)
    expect(text).not.toContain('sparrow')
  },
)
