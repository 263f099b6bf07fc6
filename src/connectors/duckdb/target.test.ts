import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Stage, Target } from '../../contract/target.ts'
import type { ColumnsChunk } from '../../core/chunk.ts'
import type { DataType } from '../../core/data-type.ts'
import { type Load, NO_ROWS, type RowCounts } from '../../core/load.ts'
import type { State } from '../../core/state.ts'
import type { Column, Table } from '../../core/table.ts'
import { openDatabase } from './database.ts'
import { duckdbTarget } from './target.ts'

type Item = readonly [id: number | null, name: string | null, amount: number | null]

const ITEM_TYPES: readonly (readonly [string, DataType, string])[] = [
  ['id', { kind: 'integer', bits: 32 }, 'INTEGER'],
  ['name', { kind: 'text' }, 'VARCHAR'],
  ['amount', { kind: 'decimal', precision: 9, scale: 2 }, 'DECIMAL(9,2)'],
]
const columns = ITEM_TYPES.map(([name, type, native]): Column => ({ name, type, native, nullable: true }))
const table: Table = {
  name: { schema: 'staging', name: 'items' },
  columns,
  key: ['id'],
  keyGuaranteed: false,
  identity: '',
  estimatedRows: null,
  estimatedBytes: null,
}

function chunkOf(items: readonly Item[]): ColumnsChunk {
  const rows = items.length
  const validity = (at: 0 | 1 | 2): Uint8Array => {
    const bits = new Uint8Array((rows + 7) >> 3)
    for (const [row, item] of items.entries()) if (item[at] !== null) bits[row >> 3] = (bits[row >> 3] as number) | (1 << (row & 7))
    return bits
  }
  const texts = items.map(([, name]) => new TextEncoder().encode(name ?? ''))
  const offsets = new Uint32Array(rows + 1)
  for (const [row, text] of texts.entries()) offsets[row + 1] = (offsets[row] as number) + text.length
  const [id, name, amount] = columns as [Column, Column, Column]
  return {
    format: 'columns',
    rows,
    columns: [
      { type: id.type, data: Int32Array.from(items, ([value]) => value ?? 0), bytes: null, valid: validity(0) },
      { type: name.type, data: offsets, bytes: Uint8Array.from(texts.flatMap((text) => [...text])), valid: validity(1) },
      { type: amount.type, data: BigInt64Array.from(items, ([, , value]) => BigInt(value ?? 0)), bytes: null, valid: validity(2) },
    ],
  }
}

let folder: string
let path: string
let target: Target

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tidemark-duckdb-'))
  path = join(folder, 'warehouse.duckdb')
  target = duckdbTarget({ path, stateSchema: null })
})

afterEach(async () => {
  await target.close()
  rmSync(folder, { recursive: true, force: true })
})

async function sql(...statements: string[]): Promise<unknown[][]> {
  const database = openDatabase(path, {})
  const connection = await database.connect()
  let rows: unknown[][] = []
  for (const statement of statements) rows = (await connection.rows(statement)).map((row) => Object.values(row))
  await connection.close()
  await database.close()
  return rows
}

const items = (): Promise<unknown[][]> => sql('SELECT id, name, amount FROM staging.items ORDER BY ALL')

async function loadOf(part: Partial<Load> = {}): Promise<Load> {
  const creates = (await target.describe(table.name)) === null
  return {
    pipeline: 'items_etl',
    runId: 'run-1',
    cause: 'run',
    strategy: 'merge',
    format: 'columns',
    table,
    creates,
    changes: creates ? [{ kind: 'create-table', table }] : [],
    columns,
    key: ['id'],
    keyGuaranteed: false,
    filling: null,
    newestBy: 'amount',
    replaces: null,
    rescuedBelow: null,
    partition: null,
    fingerprint: 'f',
    ...part,
  }
}

function next(from: State | null, value = '2026-11-24 10:00:00+00'): State {
  const time = value.slice(0, 19)
  return {
    pipeline: 'items_etl',
    position: { kind: 'watermark', value, time },
    epoch: (from?.epoch ?? 0n) + 1n,
    fingerprint: 'f',
    unswept: 0,
  }
}

async function load(rows: readonly Item[], part: Partial<Load> = {}): Promise<RowCounts> {
  const from = await target.readState('items_etl')
  const stage = await target.begin(await loadOf(part))
  if (rows.length > 0) await stage.write(chunkOf(rows))
  return stage.commit({ kind: 'state', from, to: next(from) }, rows.length)
}

const counts = (part: Partial<RowCounts>): RowCounts => ({ ...NO_ROWS, ...part })

describe('write strategies', () => {
  const first: Item[] = [
    [1, 'one', 100],
    [2, 'a name that is too long to stand in its header', 200],
    [3, null, null],
  ]
  const second: Item[] = [
    [2, 'two', 200],
    [3, null, null],
    [4, 'four', 400],
  ]
  const merged = [
    [1, 'one', '1.00'],
    [2, 'two', '2.00'],
    [3, null, null],
    [4, 'four', '4.00'],
  ]

  test('a new table takes the rows directly; the key is NOT NULL and no index is made', async () => {
    expect(await load(first)).toEqual(counts({ inserted: 3 }))
    expect(await items()).toEqual([
      [1, 'one', '1.00'],
      [2, 'a name that is too long to stand in its header', '2.00'],
      [3, null, null],
    ])
    const described = await target.describe(table.name)
    expect(described?.columns.map(({ name, native, nullable }) => [name, native, nullable])).toEqual([
      ['id', 'INTEGER', false],
      ['name', 'VARCHAR', true],
      ['amount', 'DECIMAL(9,2)', true],
    ])
    expect(await sql("SELECT * FROM duckdb_constraints() WHERE table_name = 'items' AND constraint_type = 'PRIMARY KEY'")).toEqual([])
  })

  test.each(['merge', 'delete-insert'] as const)('%s counts exactly, and changes nothing when run again', async (strategy) => {
    await load(first, { strategy })
    expect(await load(second, { strategy })).toEqual(counts({ inserted: 1, updated: 1, unchanged: 1 }))
    expect(await items()).toEqual(merged)
    expect(await load(second, { strategy })).toEqual(counts({ unchanged: 3 }))
    expect(await load([], { strategy })).toEqual(counts({}))
  })

  test.each(['merge', 'delete-insert'] as const)('%s is right where the target holds a key twice', async (strategy) => {
    await load(first, { strategy })
    await sql("INSERT INTO staging.items VALUES (2, 'other', 1), (3, NULL, NULL)")
    expect(await load(second, { strategy })).toEqual(counts({ inserted: 1, updated: 1, unchanged: 1 }))
    expect(await load(second, { strategy })).toEqual(counts({ unchanged: 3 }))
  })

  test('replace also deletes what is gone, and what is there twice', async () => {
    await load(first, { strategy: 'replace' })
    expect(await load(second, { strategy: 'replace' })).toEqual(counts({ inserted: 1, updated: 1, deleted: 1, unchanged: 1 }))
    expect(await load(second, { strategy: 'replace' })).toEqual(counts({ unchanged: 3 }))
    await sql('INSERT INTO staging.items VALUES (3, NULL, NULL)')
    expect(await load(second, { strategy: 'replace' })).toEqual(counts({ deleted: 1, unchanged: 3 }))
  })

  test('replace without a key changes all or nothing', async () => {
    const part = { strategy: 'replace', key: [], newestBy: null } as const
    const twice: Item[] = [...first, [1, 'one', 100]]
    await load(twice, part)
    expect(await load([...twice].reverse(), part)).toEqual(counts({ unchanged: 4 }))
    expect(await load(first, part)).toEqual(counts({ inserted: 3, deleted: 4 }))
    expect(await load([], part)).toEqual(counts({ deleted: 3 }))
  })

  test('append only adds; with a range it replaces that range', async () => {
    await load(first, { strategy: 'append' })
    expect(await load(first, { strategy: 'append' })).toEqual(counts({ inserted: 3 }))
    expect(await items()).toHaveLength(6)
    const replaces = { column: 'id', from: '2', to: '4' }
    expect(await load(second, { strategy: 'append', replaces })).toEqual(counts({ inserted: 3, deleted: 4 }))
  })

  test('of rows with one key the newest stays, whatever the order', async () => {
    const rows: Item[] = [
      [1, 'old', 100],
      [1, 'new', 300],
      [1, 'b', 200],
      [2, 'a', 100],
      [2, 'b', 100],
    ]
    expect(await load(rows)).toEqual(counts({ inserted: 2, deduplicated: 3 }))
    const kept = await items()
    expect(await load([...rows].reverse())).toEqual(counts({ unchanged: 2, deduplicated: 3 }))
    expect(await items()).toEqual(kept)
    expect(kept[0]).toEqual([1, 'new', '3.00'])
  })

  test('a NULL key is refused, in a new table and later', async () => {
    await expect(load([[null, 'x', 1]])).rejects.toMatchObject({ code: 'null-key' })
    expect(await target.describe(table.name)).toBeNull()
    await load(first)
    await expect(load([[null, 'x', 1]])).rejects.toMatchObject({ code: 'null-key' })
    expect(await items()).toHaveLength(3)
  })

  test('rows that only a sweep found are counted', async () => {
    await load(first)
    const rescuedBelow = { column: 'id', value: '3' }
    expect(await load(second, { rescuedBelow })).toEqual(counts({ inserted: 1, updated: 1, unchanged: 1, rescued: 1 }))
  })

  test('many rows in many chunks all arrive', async () => {
    const from = await target.readState('items_etl')
    const stage = await target.begin(await loadOf({ keyGuaranteed: true }))
    for (let chunk = 0; chunk < 40; chunk++)
      await stage.write(
        chunkOf(Array.from({ length: 5000 }, (_, i) => [chunk * 5000 + i, `row ${chunk * 5000 + i} `.repeat(i % 5), i] as const)),
      )
    expect(await stage.commit({ kind: 'state', from, to: next(from) }, 200_000)).toEqual(counts({ inserted: 200_000 }))
    expect(
      await sql(
        "SELECT count(DISTINCT id)::INT, count(*) FILTER (name <> repeat('row ' || id || ' ', (id % 5000 % 5)::INT))::INT FROM staging.items",
      ),
    ).toEqual([[200_000, 0]])
  })

  test('fewer rows than were read end the load', async () => {
    const stage = await target.begin(await loadOf())
    await stage.write(chunkOf(first))
    await expect(stage.commit({ kind: 'state', from: null, to: next(null) }, 4)).rejects.toMatchObject({ code: 'short-read' })
    expect(await target.describe(table.name)).toBeNull()
  })
})

describe('state', () => {
  test('says what people ask, and counts only runs that moved something', async () => {
    expect(await target.readState('items_etl')).toBeNull()
    expect(existsSync(path)).toBe(false)
    await load([[1, 'one', 100]])
    const state = await target.readState('items_etl')
    expect(state).toMatchObject({ epoch: 1n, lastWatermark: '2026-11-24 10:00:00', recordsProcessed: 1n, fingerprint: 'f' })
    await load([[1, 'one', 100]], { runId: 'run-2' })
    expect(await target.readState('items_etl')).toMatchObject({ epoch: 2n, recordsProcessed: 1n, lastRunAt: state?.lastRunAt })
    await load([[1, 'uno', 100]], { runId: 'run-3' })
    await load([[2, 'two', 100]], { runId: 'run-3' })
    expect(await target.readState('items_etl')).toMatchObject({ epoch: 4n, recordsProcessed: 2n })
    const history = await target.readHistory('items_etl', 2)
    expect(history.map(({ epoch, runId, rows }) => [epoch, runId, rows['updated'], rows['read']])).toEqual([
      [4n, 'run-3', 0, 1],
      [3n, 'run-3', 1, 1],
    ])
  })

  test('a table made by a script is taken over', async () => {
    await sql(
      'CREATE TABLE pipeline_watermarks (pipeline_name VARCHAR(100), last_watermark TIMESTAMP, last_run_at TIMESTAMP, records_processed BIGINT)',
      "INSERT INTO pipeline_watermarks VALUES ('items_etl', '2026-01-02 03:04:05.6', '2026-01-03', 7), ('mine', '2026-01-01', NULL, 1)",
    )
    const adopted = await target.readState('items_etl')
    expect(adopted).toMatchObject({ epoch: 0n, fingerprint: '', position: { kind: 'watermark', value: '2026-01-02 03:04:05.6' } })
    await load([[1, 'one', 100]])
    expect(await target.readState('items_etl')).toMatchObject({ epoch: 1n, recordsProcessed: 1n })
    expect(await sql("SELECT last_watermark, records_processed FROM pipeline_watermarks WHERE pipeline_name = 'mine'")).toEqual([
      ['2026-01-01 00:00:00', '1'],
    ])
  })

  test('of two rivals the second to commit gets state-conflict, first load or later', async () => {
    const other = duckdbTarget({ path, stateSchema: null })
    for (const round of [1, 2]) {
      const from = await target.readState('items_etl')
      const stages: Stage[] = []
      for (const each of [target, other]) {
        const stage = await each.begin(await loadOf())
        await stage.write(chunkOf([[round, `round ${round}`, stages.length]]))
        stages.push(stage)
      }
      const [winner, loser] = stages as [Stage, Stage]
      expect(await winner.commit({ kind: 'state', from, to: next(from) }, 1)).toEqual(counts({ inserted: 1 }))
      await expect(loser.commit({ kind: 'state', from, to: next(from) }, 1)).rejects.toMatchObject({ code: 'state-conflict' })
    }
    await other.close()
    expect(await items()).toEqual([
      [1, 'round 1', '0.00'],
      [2, 'round 2', '0.00'],
    ])
  })

  test('a state that moved is a conflict before anything is written', async () => {
    await load([[1, 'one', 100]])
    const from = await target.readState('items_etl')
    await load([[1, 'uno', 100]])
    const stage = await target.begin(await loadOf())
    await stage.write(chunkOf([[1, 'late', 100]]))
    await expect(stage.commit({ kind: 'state', from, to: next(from) }, 1)).rejects.toMatchObject({ code: 'state-conflict' })
    expect(await items()).toEqual([[1, 'uno', '1.00']])
  })

  test('a newer or a broken state is refused', async () => {
    await load([[1, 'one', 100]])
    await sql('UPDATE pipeline_watermarks SET state_format = 2')
    await expect(target.readState('items_etl')).rejects.toMatchObject({ code: 'state-newer' })
    await sql("UPDATE pipeline_watermarks SET state_format = 1, position = '{'")
    await expect(target.readState('items_etl')).rejects.toMatchObject({ code: 'state-corrupted' })
  })

  test('state tables in a schema of their own', async () => {
    await target.close()
    target = duckdbTarget({ path, stateSchema: 'etl' })
    await load([[1, 'one', 100]])
    expect(await sql('SELECT pipeline_name FROM etl.pipeline_watermarks')).toEqual([['items_etl']])
  })
})

describe('a load that ends early', () => {
  test('aborted, it leaves no rows and no position', async () => {
    const stage = await target.begin(await loadOf())
    await stage.write(chunkOf([[1, 'one', 100]]))
    await stage.abort()
    expect(await target.describe(table.name)).toBeNull()
    expect(await target.readState('items_etl')).toBeNull()
    expect(await load([[1, 'one', 100]])).toEqual(counts({ inserted: 1 }))
  })

  test('killed, it leaves no rows and no position', async () => {
    const script = `
      import { duckdbTarget } from ${JSON.stringify(join(import.meta.dirname, 'target.ts'))}
      const load = ${JSON.stringify(await loadOf())}
      const stage = await duckdbTarget({ path: ${JSON.stringify(path)}, stateSchema: null }).begin(load)
      const row = Uint8Array.from([0, 3, 0, 0, 0, 4, 0, 0, 0, 1, 255, 255, 255, 255, 255, 255, 255, 255])
      await stage.write({ format: 'pg-copy-binary', rows: 1, bytes: row })
      setTimeout(() => process.kill(process.pid, 'SIGKILL'), 400)`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' })
    expect(await new Promise((resolve) => child.on('exit', (_, signal) => resolve(signal)))).toBe('SIGKILL')
    expect(await target.describe(table.name)).toBeNull()
    expect(await target.readState('items_etl')).toBeNull()
  })

  test('a value that does not fit ends it, naming column and row', async () => {
    await load([[1, 'one', 100]])
    const stage = await target.begin(await loadOf())
    const tuple = (amount: number[]): number[] => [0, 3, 0, 0, 0, 4, 0, 0, 0, 2, 255, 255, 255, 255, 0, 0, 0, amount.length, ...amount]
    const bytes = Uint8Array.from([...tuple([0, 0, 0, 0, 0, 0, 0, 0]), ...tuple([0, 0, 0, 0, 192, 0, 0, 0])])
    await stage.write({ format: 'pg-copy-binary', rows: 2, bytes })
    await expect(stage.commit({ kind: 'state', from: null, to: next(null) }, 2)).rejects.toMatchObject({
      code: 'value-refused',
      message: 'Column "amount", row 2 of the slice: a numeric is NaN or infinite.',
    })
    expect(await items()).toHaveLength(1)
  })

  test('text that is not UTF-8 is refused', async () => {
    const stage = await target.begin(await loadOf())
    const text = [...Array.from({ length: 20 }, () => 97), 0xff]
    const bytes = Uint8Array.from([0, 3, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0, 0, 21, ...text, 255, 255, 255, 255])
    await stage.write({ format: 'pg-copy-binary', rows: 1, bytes })
    await expect(stage.commit({ kind: 'state', from: null, to: next(null) }, 1)).rejects.toMatchObject({ code: 'value-refused' })
  })
})

describe('schema', () => {
  test('a column is added with the value that older rows have, and a type widened, in the commit', async () => {
    await load([[1, 'one', 100]])
    const added: Column = { name: 'flag', type: { kind: 'bytes' }, native: 'BLOB', nullable: true, backfill: '\\x00ff' }
    const wide: Column = { name: 'id', type: { kind: 'integer', bits: 64 }, native: 'BIGINT', nullable: false }
    const changes: Load['changes'] = [
      { kind: 'add-column', table: table.name, column: added },
      { kind: 'widen-column', table: table.name, column: wide, was: 'INTEGER' },
    ]
    expect(await load([], { changes })).toEqual(counts({}))
    expect(await sql('SELECT id, flag, typeof(id) FROM staging.items')).toEqual([['1', '\\x00\\xFF', 'BIGINT']])
    expect(await sql("SELECT column_default FROM duckdb_columns() WHERE column_name = 'flag'")).toEqual([[null]])
  })

  test('generated columns and keys are seen', async () => {
    await sql('CREATE TABLE t (a INTEGER PRIMARY KEY, "b c" INTEGER GENERATED ALWAYS AS (a + 1), d VARCHAR)')
    const described = await target.describe({ schema: null, name: 't' })
    expect(described).toMatchObject({ key: ['a'], keyGuaranteed: true })
    expect(described?.columns.map(({ generated }) => generated)).toEqual([false, true, false])
  })
})

describe('a file that can not be opened', () => {
  test('is named with the process that has it open', async () => {
    await load([[1, 'one', 100]])
    await target.close()
    const script = `import { DuckDBInstance } from '@duckdb/node-api'
      globalThis.kept = await DuckDBInstance.create(${JSON.stringify(path)}); console.log('open'); setInterval(() => {}, 1000)`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
      cwd: import.meta.dirname,
    })
    await new Promise((resolve) => child.stdout.once('data', resolve))
    target = duckdbTarget({ path, stateSchema: null })
    await expect(target.readState('items_etl')).rejects.toMatchObject({
      code: 'target-locked',
      message: expect.stringContaining(`PID ${child.pid}`),
    })
    child.kill('SIGKILL')
    await new Promise((resolve) => child.once('exit', resolve))
    expect(await target.readState('items_etl')).toMatchObject({ epoch: 1n })
  })

  test('is no DuckDB file', async () => {
    writeFileSync(path, 'not a database, but long enough to be one if it wanted to be'.repeat(500))
    await expect(target.readState('items_etl')).rejects.toMatchObject({
      code: 'target-failed',
      message: expect.stringContaining('is not a DuckDB'),
    })
  })

  test('lies in a folder that is not there', async () => {
    target = duckdbTarget({ path: join(folder, 'missing', 'x.duckdb'), stateSchema: null })
    await expect(target.begin(await loadOf())).rejects.toMatchObject({ code: 'missing-database' })
  })
})
