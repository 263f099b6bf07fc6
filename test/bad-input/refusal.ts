// A run that must be refused: with the right code and exit code, in words that name the place, without a stack, a password or a
// value of a row, and with a target that is afterwards what it was before.

import { existsSync } from 'node:fs'
import { expect } from 'vitest'
import { exitCodeOf } from '../../src/cli/exit-code.ts'
import { ERRORS, type ErrorCode } from '../../src/core/errors.ts'
import type { ErrorReport, PipelineResult } from '../../src/core/event.ts'
import type { OpenProjectOptions, RunOptions } from '../../src/project/open-project.ts'
import { eventJson, printJson } from '../../src/reporters/json.ts'
import { duckdbRows, duckdbRun } from '../servers/duckdb-file.ts'
import type { FreshDatabase } from '../servers/fresh-database.ts'
import { type Loading, type LoadingOptions, startLoading } from '../servers/loading.ts'
import type { Environment } from '../servers/run-cli.ts'

/** Stand in every row and every password, and may stand in no error. */
export const ROW_VALUE = 'kept-to-itself'
export const PASSWORD = 'Zebra/4711 pass'

export const GOODS = { source: { table: 'goods' } } as const

/** Five goods, an hour old. */
export const MAKE_GOODS = `CREATE TABLE goods (id int PRIMARY KEY, note text, updated_at timestamptz NOT NULL DEFAULT now() - interval '1 hour');
  INSERT INTO goods (id, note) SELECT i, '${ROW_VALUE} ' || i FROM generate_series(1, 5) i`

/** Six more, of now. */
export const MORE_GOODS = `INSERT INTO goods (id, note, updated_at) SELECT i, '${ROW_VALUE} ' || i, now() FROM generate_series(100, 105) i`

export interface Refusal {
  readonly code: ErrorCode
  /** Each must occur in the message, the hint or the place. */
  readonly names: readonly (string | RegExp)[]
  readonly hides?: readonly string[]
}

export interface Attempt extends RunOptions {
  readonly env?: Environment
  readonly connector?: NonNullable<OpenProjectOptions['connector']>
}

/** One pipeline `goods` whose source holds the goods, or what `make` makes. */
export async function startGoods(pipeline: Readonly<Record<string, unknown>> = {}, options: LoadingOptions = {}, make = MAKE_GOODS) {
  const loading = await startLoading({ pipelines: { goods: { ...GOODS, ...pipeline } }, ...options })
  await loading.source.run(make)
  return loading
}

export async function attempt(loading: Loading, { env = {}, connector, ...run }: Attempt = {}) {
  const told: string[] = []
  await using project = await loading.open({
    env: { ...process.env, ...loading.env, ...env },
    settings: { retries: 0 },
    ...(connector === undefined ? {} : { connector }),
  })
  const { pipelines } = await project.run([], { ...run, onEvent: (event) => told.push(printJson(eventJson(event))) })
  return { result: pipelines[0] as PipelineResult, told: told.join('\n') }
}

/** A run that must succeed. */
export async function succeed(loading: Loading, given: Attempt = {}): Promise<PipelineResult> {
  const { result } = await attempt(loading, given)
  expect(result.error).toBe(null)
  return result
}

/** Runs, and checks everything that is promised of a refusal. */
export async function refused(loading: Loading, refusal: Refusal, given: Attempt = {}): Promise<ErrorReport> {
  const before = await targetContent(loading)
  const { result, told } = await attempt(loading, given)
  expect(await targetContent(loading)).toEqual(before)
  expect(exitCodeOf([result])).toBe(ERRORS[refusal.code].exit)
  checkError(result.error, refusal)
  checkText(told, refusal.hides)
  return result.error as ErrorReport
}

export function checkError(error: ErrorReport | null, { code, names, hides = [] }: Refusal): void {
  const text = [error?.where, error?.message, error?.hint].join('\n')
  expect(error, text).toMatchObject({ code })
  for (const name of names) {
    if (typeof name === 'string') expect(text).toContain(name)
    else expect(text).toMatch(name)
  }
  expect(error?.hint).not.toBe('')
  checkText(text, hides)
}

/** Output of a command, or events: no stack, no password, no row. */
export function checkText(text: string, hides: readonly string[] = []): void {
  expect(text).not.toMatch(/\n\s+at \S+|\.ts:\d+|node_modules|\[object |undefined/)
  for (const secret of [ROW_VALUE, PASSWORD, encodeURIComponent(PASSWORD), ...hides]) expect(text).not.toContain(secret)
}

/** Any number of statements at either kind of target. */
export async function atTarget(loading: Loading, sql: string): Promise<void> {
  if (typeof loading.side === 'string') await duckdbRun(loading.side, sql)
  else await loading.side.run(sql)
}

/** Every table with its definition and its rows; at Postgres also which version of each row. State tables without rows don't count. */
export async function targetContent({ side }: Loading): Promise<Record<string, readonly string[]>> {
  const content = await (typeof side === 'string' ? duckdbContent(side) : postgresContent(side))
  return Object.fromEntries(Object.entries(content).filter(([table, rows]) => rows.length > 0 || !table.includes('pipeline_')))
}

async function duckdbContent(path: string): Promise<Record<string, string[]>> {
  const content: Record<string, string[]> = {}
  if (!existsSync(path)) return content
  for (const [name, sql] of await duckdbRows(
    path,
    'SELECT format(\'"{}"."{}"\', schema_name, table_name), sql FROM duckdb_tables() ORDER BY 1',
  ))
    content[`${name} ${sql}`] = (await duckdbRows(path, `SELECT CAST(t AS VARCHAR) FROM ${name} AS t ORDER BY 1`)).map(([row]) => row ?? '')
  return content
}

async function postgresContent(database: FreshDatabase): Promise<Record<string, string[]>> {
  const content: Record<string, string[]> = {}
  const tables = await database.rows(
    `SELECT format('%I.%I', n.nspname, c.relname) AS name,
       (SELECT string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum) FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname !~ '^(pg_|information_schema)' ORDER BY 1`,
  )
  for (const { name, columns } of tables) {
    const rows = await database.rows(`SELECT concat(t.xmin, t.ctid, t::text) AS row FROM ${name} AS t ORDER BY 1`)
    content[`${name} (${columns})`] = rows.map(({ row }) => row ?? '')
  }
  return content
}
