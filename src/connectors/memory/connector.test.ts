// Memory as a connection like any other: a project, a run, rows at the target; and what it refuses.

import { expect, test } from 'vitest'
import { ORDINARY_RUN } from '../../core/head.ts'
import { resolvePipeline, type WatermarkPipeline } from '../../core/pipeline.ts'
import { memory, memoryDatabase } from './connector.ts'
import { Transaction } from './transaction.ts'

const ORDERS: WatermarkPipeline = {
  name: 'orders',
  pattern: 'watermark',
  source: { connection: 'shop', table: { schema: null, name: 'orders' }, query: null },
  target: { connection: 'copy', table: { schema: null, name: 'orders' } },
  cursor: 'at',
  cursorTimeZone: null,
  start: null,
  key: null,
  write: null,
  lateRows: { kind: 'auto' },
  nullCursor: 'error',
  firstLoad: null,
  where: null,
  columns: { include: null, exclude: [] },
  onSchemaChange: 'evolve',
}

async function headOf(pipeline: Partial<WatermarkPipeline>, name: string) {
  const source = await memory.source?.(memory.parse({ name }), 'shop')
  if (source === undefined) throw new Error('memory is a source')
  const whole = { ...ORDERS, ...pipeline }
  const table = await source.describe(whole)
  return source.head(resolvePipeline(whole, table), table, null, ORDINARY_RUN)
}

function fill(name: string, cursor: 'number' | 'time', rows: readonly (bigint | null)[]) {
  const database = memoryDatabase(name)
  const type = cursor === 'time' ? ({ kind: 'timestamp', zoned: true } as const) : ({ kind: 'integer', bits: 64 } as const)
  const columns = [{ name: 'id', type: { kind: 'text' } } as const, { name: 'at', type }]
  const table = database.createTable('orders', columns, ['id'])
  const writing = new Transaction(database)
  for (const [at, value] of rows.entries()) writing.insert(table, { id: `k${at}`, at: value })
  writing.commit()
  return database
}

test('connections of one name share their tables', async () => {
  fill('shared', 'number', [1n, 2n])
  expect((await headOf({}, 'shared')).slice?.estimatedRows).toBe(2)
  expect(await memory.target?.({ name: 'one' }, 'a')).toBe(await memory.target?.({ name: null }, 'one'))
  expect(() => memory.parse({ name: 5 })).toThrow(expect.objectContaining({ code: 'bad-project' }))
})

test.each([
  ['missing-table', { source: { ...ORDERS.source, table: { schema: null, name: 'others' } } }, [1n]],
  ['unusable-cursor', { cursor: 'id' }, [1n]],
  ['null-cursor', {}, [1n, null]],
  ['late-rows-unsafe', { write: 'append' }, [1n]],
  ['late-rows-unsafe', { lateRows: { kind: 'bound' } }, [1n]],
  ['late-rows-unsafe', { lateRows: { kind: 'lag', seconds: 5 } }, [1n]],
  ['late-rows-unsafe', { lateRows: { kind: 'xid8', column: 'nothing' } }, [1n]],
] as const)('refused with %s', async (code, pipeline, rows) => {
  const name = `refused ${code} ${JSON.stringify(pipeline)}`
  fill(name, 'number', rows)
  await expect(headOf(pipeline, name)).rejects.toMatchObject({ code })
})

test('of an empty table append reads nothing, so that a row that comes only now is not read twice', async () => {
  fill('empty', 'number', [])
  const { slice } = await headOf({ write: 'append', lateRows: { kind: 'none' } }, 'empty')
  expect(slice?.range.to).toBe(String(-(2n ** 62n)))
})

test('who holds the watermark back is named, and rows of the future are counted', async () => {
  const database = fill('held', 'time', [1n, 2n])
  const later = new Transaction(database)
  later.insert(database.tables.get('orders') ?? database.createTable('orders', []), { id: 'f', at: database.clock + 5_000_000n })
  later.commit()
  const writing = new Transaction(database)
  const preparing = new Transaction(database)
  preparing.insert(database.tables.get('orders') ?? database.createTable('orders', []), { id: 'p', at: database.clock })
  preparing.prepare()
  const head = await headOf({}, 'held')
  expect(head.heldBy.map(({ kind }) => kind)).toEqual(['transaction', 'prepared-transaction'])
  expect(head.waiting).toBe(1)
  expect(head.slice?.upTo).toMatchObject({ value: null })
  writing.rollback()
})
