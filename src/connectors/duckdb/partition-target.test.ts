// Claims, and what becomes of a load whose claim was lost: two targets stand for two runs of one process.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { PartitionTarget, PartitionWriter, Stage, Target } from '../../contract/target.ts'
import type { ColumnsChunk } from '../../core/chunk.ts'
import type { Claim } from '../../core/ledger.ts'
import { type Load, NO_ROWS } from '../../core/load.ts'
import { type Partition, rangeKey } from '../../core/partition.ts'
import type { State } from '../../core/state.ts'
import type { Column, Table } from '../../core/table.ts'
import { openDatabase } from './database.ts'
import { duckdbTarget } from './target.ts'

const id: Column = { name: 'id', type: { kind: 'integer', bits: 32 }, native: 'INTEGER', nullable: false }
const table: Table = {
  name: { schema: null, name: 'items' },
  columns: [id],
  key: ['id'],
  keyGuaranteed: true,
  identity: '',
  estimatedRows: null,
  estimatedBytes: null,
}
const partitions = [0, 1, 2].map((n): Partition => {
  const [lower, upper] = [BigInt(n * 1000), BigInt(n * 1000 + 1000)]
  return { key: rangeKey(lower, upper), bounds: { kind: 'range', lower: String(lower), upper: String(upper) } }
})
const keys = partitions.map(({ key }) => key)

let folder: string
let path: string
let one: Target
let two: Target

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tidemark-duckdb-'))
  path = join(folder, 'warehouse.duckdb')
  one = duckdbTarget({ path, stateSchema: null })
  two = duckdbTarget({ path, stateSchema: null })
})

afterEach(async () => {
  await Promise.all([one.close(), two.close()])
  rmSync(folder, { recursive: true, force: true })
})

function of(target: Target): PartitionTarget {
  if (target.partitions === undefined) throw new Error('no partitions')
  return target.partitions
}

async function prepare(target: Target, runId: string): Promise<State> {
  const from = await target.readState('items')
  const ledger = await of(target).readLedger('items')
  return of(target).prepare({
    from,
    first: { pipeline: 'items', position: { kind: 'partitions' }, epoch: 0n, fingerprint: 'f', unswept: 0 },
    runId,
    changes: from === null ? [{ kind: 'create-table', table }] : [],
    keyNow: [],
    wanted: partitions.map((partition) => ({
      partition,
      estimatedRows: null,
      seen: ledger.find(({ key }) => key === partition.key) ?? null,
    })),
    forget: false,
    empties: null,
  })
}

function loadOf(claim: Claim, absent: boolean): Load {
  const partition = partitions.find(({ key }) => key === claim.key) as Partition
  return {
    pipeline: 'items',
    runId: claim.runId,
    cause: 'run',
    strategy: 'overwrite-partition',
    format: 'columns',
    table,
    creates: false,
    changes: [],
    columns: [id],
    key: ['id'],
    keyGuaranteed: true,
    filling: null,
    newestBy: null,
    replaces: null,
    rescuedBelow: null,
    partition: {
      partition,
      column: 'id',
      by: { kind: 'range', column: 'id', size: 10n, nulls: 'error' },
      absent,
      byKey: false,
      maxShrink: null,
      replaceBy: 'delete',
    },
    fingerprint: 'f',
  }
}

async function begin(writer: PartitionWriter, claim: Claim, absent: boolean, from: number, rows: number): Promise<Stage> {
  const stage = await writer.begin(loadOf(claim, absent))
  const data = Int32Array.from({ length: rows }, (_, index) => from + index)
  const valid = new Uint8Array((rows + 7) >> 3).fill(255)
  await stage.write({ format: 'columns', rows, columns: [{ type: id.type, data, bytes: null, valid }] } satisfies ColumnsChunk)
  return stage
}

const settled = (claim: Claim) => ({ kind: 'partition', claim, checksum: null, closed: true }) as const

async function sql(statement: string): Promise<unknown[][]> {
  const database = openDatabase(path, {})
  const connection = await database.connect()
  const rows = (await connection.rows(statement)).map((row) => Object.values(row).map(String))
  await connection.close()
  await database.close()
  return rows
}

async function claimed(writer: PartitionWriter, runId: string, wanted = keys): Promise<Claim> {
  const claim = await writer.claim('items', runId, wanted)
  if (claim === null) throw new Error('nothing is free')
  return claim
}

describe('claims', () => {
  test('each partition goes to one of many that ask at once', async () => {
    await prepare(one, 'run-1')
    const writers = await Promise.all(Array.from({ length: 8 }, (_, n) => of(n % 2 === 0 ? one : two).openWriter()))
    const claims = await Promise.all(writers.map((writer, n) => writer.claim('items', `run-${n}`, keys)))
    const got = claims.filter((claim) => claim !== null).map(({ key }) => key)
    expect(got.toSorted()).toEqual(keys.toSorted())
    await Promise.all(writers.map((writer) => writer.close()))
  })

  test('of a run that is alive are its own, and of one that is gone anybody’s', async () => {
    await prepare(one, 'run-1')
    const [first, second] = [await of(one).openWriter(), await of(two).openWriter()]
    for (const key of keys) await claimed(first, 'run-1', [key])
    expect(await second.claim('items', 'run-2', keys)).toBeNull()
    expect((await of(two).readLedger('items')).map(({ abandoned }) => abandoned)).toEqual([false, false, false])
    await of(one).close()
    expect((await of(two).readLedger('items')).map(({ abandoned }) => abandoned)).toEqual([true, true, true])
    expect(await claimed(second, 'run-2')).toMatchObject({ key: keys[0], attempt: 2 })
    await Promise.all([first.close(), second.close()])
  })

  test('go with the process', async () => {
    await prepare(one, 'run-1')
    const writer = await of(one).openWriter()
    await claimed(writer, 'run-1')
    await sql("UPDATE pipeline_partitions SET run_id = 'of a process that died' WHERE status = 'running'")
    expect((await of(one).readLedger('items', { status: 'running' })).map(({ abandoned }) => abandoned)).toEqual([true])
    expect(await claimed(writer, 'run-1')).toMatchObject({ key: keys[0], attempt: 2 })
    await writer.close()
  })

  test('are given back, failed or planned', async () => {
    await prepare(one, 'run-1')
    const writer = await of(one).openWriter()
    const [a, b] = [await claimed(writer, 'run-1', [keys[0] as string]), await claimed(writer, 'run-1', [keys[1] as string])]
    await writer.giveUp(a, { code: 'null-key', message: 'why' })
    await writer.giveUp(b, null)
    await writer.giveUp({ ...b, attempt: 9 }, null)
    const rows = await of(one).readLedger('items')
    expect(rows.map(({ status, error }) => [status, error])).toEqual([
      ['failed', 'null-key: why'],
      ['planned', null],
      ['planned', null],
    ])
    expect(await of(one).summarize('items')).toEqual({ total: 3, committed: 0, planned: 2, running: 0, failed: 1 })
    await prepare(one, 'run-2')
    expect((await of(one).readLedger('items', { keys: [keys[0] as string] })).map(({ status }) => status)).toEqual(['planned'])
    await writer.close()
  })
})

describe.each([
  ['straight into the table', true],
  ['by way of a stage', false],
])('a load %s', (_, absent) => {
  test('whose claim was lost writes nothing', async () => {
    await prepare(one, 'run-1')
    const [first, second] = [await of(one).openWriter(), await of(two).openWriter()]
    const lost = await claimed(first, 'run-1')
    const frozen = await begin(first, lost, absent, 0, 100)
    await of(one).close()
    const claim = await claimed(second, 'run-2')
    const stage = await begin(second, claim, absent, 0, 90)
    await expect(frozen.commit(settled(lost), 100)).rejects.toMatchObject({ code: 'state-conflict' })
    expect(await stage.commit(settled(claim), 90)).toMatchObject({ inserted: 90, deleted: 0 })
    await expect(first.confirm(lost, '', true)).rejects.toMatchObject({ code: 'state-conflict' })
    expect(await sql('SELECT count(*), count(DISTINCT id) FROM items')).toEqual([['90', '90']])
    expect(await sql(`SELECT status, attempt, "rows", run_id FROM pipeline_partitions WHERE partition_key = '${keys[0]}'`)).toEqual([
      ['committed', '2', '90', 'run-2'],
    ])
    // What is left is not in the way of the next one on the same connection.
    const next = await claimed(first, 'run-1', [keys[1] as string])
    await (await begin(first, next, absent, 1000, 10)).commit(settled(next), 10)
    await Promise.all([first.close(), second.close()])
  })

  test('outlasts signs of life, and other commits', async () => {
    await prepare(one, 'run-1')
    const [first, second] = [await of(one).openWriter(), await of(one).openWriter()]
    const [a, b] = [await claimed(first, 'run-1', [keys[0] as string]), await claimed(second, 'run-1', [keys[1] as string])]
    const slow = await begin(first, a, absent, 0, 100)
    await of(one).renew('items', 'run-1')
    await (await begin(second, b, absent, 1000, 50)).commit(settled(b), 50)
    await slow.commit(settled(a), 100)
    expect(await sql('SELECT count(*) FROM items')).toEqual([['150']])
    await Promise.all([first.close(), second.close()])
  })

  test('that is stopped during its commit is there whole or not at all', async () => {
    await prepare(one, 'run-1')
    let committed = 0
    for (let round = 0; round < 12; round++) {
      await prepare(one, 'run-1')
      const writer = await of(one).openWriter()
      const claim = await claimed(writer, 'run-1', [keys[0] as string])
      const before = await sql('SELECT count(*), min(id), max(id) FROM items')
      // A partition that is there can't go straight in.
      const stage = await begin(writer, claim, absent && committed === 0, round, 900 - round)
      const commit = stage.commit(settled(claim), 900 - round).then(
        () => true,
        () => false,
      )
      await new Promise((resolve) => setTimeout(resolve, round))
      await stage.abort()
      const won = await commit
      if (won) committed++
      const [status] = await sql(`SELECT status FROM pipeline_partitions WHERE partition_key = '${keys[0]}'`)
      expect(status).toEqual([won ? 'committed' : 'running'])
      expect(await sql('SELECT count(*), min(id), max(id) FROM items')).toEqual(won ? [[900 - round, round, 899].map(String)] : before)
      await writer.giveUp(claim, null)
      await writer.close()
    }
  })
})

test('a plan shows how a partition is replaced', () => {
  const claim = { pipeline: 'items', runId: '', key: keys[0] as string, attempt: 1 }
  const statements = two.explain?.(loadOf(claim, false)) ?? []
  expect(statements.map((statement) => statement.split(' ').slice(0, 3).join(' '))).toEqual([
    'DELETE FROM "main"."items"',
    'DELETE FROM "main"."items"',
    'INSERT INTO "main"."items"',
    'UPDATE "main"."pipeline_partitions" SET',
  ])
  expect(statements[0]).toContain('"id" >= 0 AND "id" < 1000')
  expect(two.explain?.(loadOf(claim, true))).toHaveLength(1)
})

test('a full refresh spares what other runs loaded meanwhile, and no claim from before it passes for one from after', async () => {
  await prepare(one, 'before')
  const writer = await of(one).openWriter()
  const old = await claimed(writer, 'before', [keys[0] ?? ''])
  const first = { pipeline: 'items', position: { kind: 'partitions' }, epoch: 0n, fingerprint: 'f', unswept: 0 } as const
  const shared = { first, changes: [], keyNow: [] }
  const wanted = (partition: Partition | undefined) => (partition === undefined ? [] : [{ partition, estimatedRows: null, seen: null }])
  await of(one).prepare({
    ...shared,
    from: await one.readState('items'),
    runId: 'refresh',
    wanted: wanted(partitions[0]),
    forget: true,
    empties: null,
  })
  await of(two).prepare({
    ...shared,
    from: await two.readState('items'),
    runId: 'other',
    wanted: wanted(partitions[1]),
    forget: false,
    empties: null,
  })
  const [refreshed, other] = [await claimed(writer, 'refresh'), await claimed(writer, 'other')]
  expect([refreshed.key, other.key]).toEqual(keys.slice(0, 2))
  expect(refreshed.attempt).toBeGreaterThan(old.attempt)
  await (await begin(writer, refreshed, false, 0, 3)).commit(settled(refreshed), 3)
  await (await begin(writer, other, false, 1000, 5)).commit(settled(other), 5)
  const ended = await of(one).finish({
    pipeline: 'items',
    runId: 'refresh',
    cause: 'full-refresh',
    table,
    by: { kind: 'range', column: 'id', size: 1000n, nulls: 'error' },
    indexes: true,
    key: ['id'],
    complete: true,
    purges: true,
    fingerprint: 'f',
    last: { kind: 'partitions' },
    read: 3,
    rows: { ...NO_ROWS, inserted: 3 },
    seconds: 1,
  })
  expect(ended.deleted).toBe(0)
  await writer.close()
  await Promise.all([one.close(), two.close()])
  expect(await sql('SELECT count(*) FROM items')).toEqual([['8']])
})
