// What a statement answers: columns as the driver is told of them, and rows as texts. Rows of queries stay in DuckDB until they are fetched.

import { BOOLEAN_COLUMN, FIXED_COLUMN, LTZ_COLUMN, TEXT_COLUMN, type WireColumn, wireType } from './data-types.ts'
import type { Store } from './store.ts'

export type Row = (string | null)[]

export interface StatementResult {
  readonly columns: readonly WireColumn[]
  readonly total: number
  readonly typeId: number
  rows(from: number, count: number): Promise<Row[]>
  /** More for the driver, such as where to put a file. */
  readonly extra?: Readonly<Record<string, unknown>>
  drop(): Promise<void>
}

/** Kinds of statements, by the driver's numbers. */
export const TYPE_IDS = {
  select: 0x1000,
  insert: 0x3100,
  update: 0x3200,
  delete: 0x3300,
  merge: 0x3400,
  other: 0x4000,
  ddl: 0x6000,
  copy: 0x3000,
}

const KINDS = { text: TEXT_COLUMN, fixed: FIXED_COLUMN, boolean: BOOLEAN_COLUMN, ltz: LTZ_COLUMN }

/** Columns as `name` or `name:fixed`. */
export function fixedResult(columns: readonly string[], rows: readonly Row[], typeId = TYPE_IDS.other): StatementResult {
  return {
    columns: columns.map((column) => {
      const [name, kind = 'text'] = column.split(':') as [string, keyof typeof KINDS]
      return { name, nullable: true, ...KINDS[kind] }
    }),
    total: rows.length,
    typeId,
    rows: async (from, count) => rows.slice(from, from + count),
    drop: async () => undefined,
  }
}

export function status(text = 'Statement executed successfully.', typeId = TYPE_IDS.other): StatementResult {
  return fixedResult(['status'], [[text]], typeId)
}

export function counts(entries: readonly (readonly [string, number])[], typeId: number): StatementResult {
  return fixedResult(
    entries.map(([name]) => `${name}:fixed`),
    [entries.map(([, count]) => String(count))],
    typeId,
  )
}

/** A moment as the driver expects it. */
export function wireTime(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(6)}000`
}

let lastTable = 0

/** Runs a query and keeps its rows, in order, as texts. */
export async function keepRows(store: Store, sql: string): Promise<StatementResult> {
  const described = await store.describe(sql)
  const table = `r${++lastTable}`
  const cells = described.map(({ type }, index) => `${wireType(type).cell(`s${index}`)} AS s${index}`)
  const names = described.map((_, index) => `s${index}`).join(', ')
  await store.run(`CREATE TEMP TABLE ${table}_raw(${names}) AS ${sql}`)
  try {
    await store.run(`CREATE TEMP TABLE ${table} AS SELECT ${cells.join(', ')} FROM ${table}_raw`)
  } finally {
    await store.run(`DROP TABLE ${table}_raw`)
  }
  const [[total] = [0n]] = await store.rows<bigint>(`SELECT count(*) FROM ${table}`)
  return {
    columns: described.map(({ name, type }) => ({ name, nullable: true, ...wireType(type).column })),
    total: Number(total),
    typeId: TYPE_IDS.select,
    rows: (from, count) =>
      store.exclusive(() =>
        store.rows<string | null>(`SELECT * FROM ${table} WHERE rowid >= ${from} AND rowid < ${from + count} ORDER BY rowid`),
      ),
    drop: async () => {
      await store.exclusive(() => store.run(`DROP TABLE IF EXISTS ${table}`))
    },
  }
}

/** What a query would answer, without its rows. */
export async function describeRows(store: Store, sql: string): Promise<StatementResult> {
  const described = await store.describe(sql)
  const columns = described.map(({ name, type }) => ({ name, nullable: true, ...wireType(type).column }))
  return { ...fixedResult([], []), columns, typeId: TYPE_IDS.select }
}
