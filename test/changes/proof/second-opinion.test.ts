// The same stretch of the log, read by PostgreSQL's own test_decoding: tidemark has kept the same changes, with the same values, in the same
// order, in the same transactions.

import { expect, test } from 'vitest'
import type { FreshDatabase } from '../../servers/fresh-database.ts'
import { Random } from '../../simulate/random.ts'
import { startTables, useOwnServer } from '../following.ts'
import { makeTables, TABLES, Workload } from './workload.ts'

useOwnServer()

/** `null` where a value was not logged again. */
interface Change {
  readonly table: string
  readonly op: string
  readonly values: Readonly<Record<string, string | null>>
}

const NOT_SENT = 'unchanged-toast-datum'
const CELL = /(\w+)\[[^\]]+\]:('(?:[^']|'')*'|\S+)/g

/** `table s.wide: UPDATE: old-key: id[integer]:1 new-tuple: id[integer]:2 v[text]:'it''s'`. */
function parseLine(line: string): readonly Change[] {
  const [, names = '', op = '', rest = ''] = /^table ([^:]+): (\w+):(.*)$/s.exec(line) ?? []
  const tables = names.split(', ').map((name) => (name.split('.')[1] ?? '').replace(/^parts_\w+$/, 'parts'))
  if (op === 'TRUNCATE') return [...new Set(tables)].sort().map((table) => ({ table, op: 'truncate', values: {} }))
  const [old = '', row = old] = rest.includes('new-tuple:') ? rest.split('new-tuple:') : [rest]
  const cells = (text: string): Record<string, string> =>
    Object.fromEntries([...text.matchAll(CELL)].map(([, name = '', value = '']) => [name, value]))
  // REPLICA IDENTITY FULL: what the new row lacks is in the old one.
  const before = row === old ? {} : cells(old)
  const values = Object.entries(cells(row)).map(([name, value]) => [name, value === NOT_SENT ? (before[name] ?? value) : value] as const)
  const plain = (value: string): string | null =>
    value === 'null' ? null : value.startsWith("'") ? value.slice(1, -1).replaceAll("''", "'") : value
  return [{ table: tables[0] ?? '', op: op.toLowerCase(), values: Object.fromEntries(values.map(([name, value]) => [name, plain(value)])) }]
}

async function decoded(source: FreshDatabase, slot: string): Promise<readonly (readonly Change[])[]> {
  const lines = await source.rows(`SELECT data FROM pg_logical_slot_peek_changes($1, NULL, NULL, 'skip-empty-xacts', '1')`, [slot])
  const transactions: Change[][] = []
  for (const { data } of lines) {
    if (data?.startsWith('BEGIN')) transactions.push([])
    else if (data?.startsWith('table')) transactions.at(-1)?.push(...parseLine(data))
  }
  return transactions.filter((changes) => changes.length > 0)
}

async function kept(target: FreshDatabase, schema: string): Promise<readonly (readonly Change[])[]> {
  const all: { readonly position: bigint; readonly ordinal: number; readonly change: Change }[] = []
  for (const table of TABLES)
    for (const row of await target.rows(
      `SELECT *, _tidemark_position::pg_lsn - '0/0'::pg_lsn AS at FROM ${schema}.${table} WHERE _tidemark_op <> 'read'`,
    )) {
      const op = row['_tidemark_op'] ?? ''
      const lacks = (row['_tidemark_unchanged'] ?? '').split(', ')
      const own = Object.entries(row).filter(([name]) => !name.startsWith('_tidemark_') && name !== 'at')
      // Of a row that is gone the log has the key; with REPLICA IDENTITY FULL, everything that is not NULL.
      const known = own.filter(([, value]) => op !== 'delete' || value !== null)
      const values = Object.fromEntries(known.map(([name, value]) => [name, lacks.includes(name) ? NOT_SENT : asPrinted(value)]))
      const change = { table, op, values: op === 'truncate' ? {} : values }
      all.push({ position: BigInt(row['at'] ?? 0), ordinal: Number(row['_tidemark_ordinal']), change })
    }
  all.sort((a, b) => (a.position === b.position ? a.ordinal - b.ordinal : a.position < b.position ? -1 : 1))
  return [...Map.groupBy(all, ({ position }) => position).values()].map((some) => some.map(({ change }) => change))
}

/** Booleans arrive here as the wire has them. */
const asPrinted = (value: string | null): string | null => (value === 't' ? 'true' : value === 'f' ? 'false' : value)

/** Which of several tables that are emptied at once comes first is nobody's promise. */
function inOrder(changes: readonly Change[]): readonly Change[] {
  const sorted = [...changes]
  for (let at = 1; at < sorted.length; at++)
    for (let to = at; to > 0; to--) {
      const [a, b] = [sorted[to - 1] as Change, sorted[to] as Change]
      if (a.op !== 'truncate' || b.op !== 'truncate' || a.table <= b.table) break
      sorted[to - 1] = b
      sorted[to] = a
    }
  return sorted
}

test('test_decoding sees the same transactions with the same changes', async () => {
  const schema = 'opinion'
  await using loading = await startTables(
    makeTables(schema),
    TABLES.map((table) => `${schema}.${table}`),
    {},
    { write: 'append', target: {} },
  )
  expect((await loading.run()).error).toBeNull()
  const slot = `test_decoding_${Date.now()}`
  await loading.source.rows(`SELECT pg_create_logical_replication_slot($1, 'test_decoding')`, [slot])
  const workload = await Workload.open(loading.source, new Random(1), schema, { moves: true, alters: false })
  await workload.act(1500)
  await workload.quiesce()
  await workload.close()
  expect((await loading.run()).error).toBeNull()
  const wanted = (await decoded(loading.source, slot)).map(inOrder)
  const found = (await kept(loading.target, schema)).map(inOrder)
  expect(wanted.length).toBeGreaterThan(100)
  expect(found.length).toBe(wanted.length)
  for (const [number, changes] of wanted.entries()) expect({ number, changes: found[number] }).toEqual({ number, changes })
})
