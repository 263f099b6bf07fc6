import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PartitionBounds } from '../../core/partition.ts'
import { openDatabase } from './database.ts'
import { insideCondition, partitionCondition } from './partition-condition.ts'
import { dataTypeOf } from './type-rules.ts'

type Ask = (...statements: string[]) => Promise<unknown[]>

let ask: Ask
let close: () => Promise<void>

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-'))
  const database = openDatabase(join(folder, 'conditions.duckdb'), {})
  const connection = await database.connect()
  ask = async (...statements) => {
    let rows: unknown[] = []
    for (const statement of statements) rows = (await connection.rows(statement)).map((row) => Object.values(row)[0])
    return rows
  }
  close = async () => {
    await connection.close()
    await database.close()
    rmSync(folder, { recursive: true })
  }
})

afterAll(() => close())

const tableOf = (native: string) => ({ columns: [{ name: 'v', type: dataTypeOf(native), native, nullable: true }] })

/** The values, as texts, for which the condition is true. */
async function found(native: string, values: readonly string[], condition: string, zone = 'UTC'): Promise<unknown[]> {
  const rows = values.map((value) => `('${value.replaceAll("'", "''")}')`).join(', ')
  return ask(
    `SET TimeZone = 'UTC'`,
    `CREATE OR REPLACE TABLE t AS SELECT s, CAST(s AS ${native}) AS v FROM (VALUES ${rows}) AS x(s)`,
    `SET TimeZone = '${zone}'`,
    `SELECT s FROM t WHERE ${condition} ORDER BY s`,
  )
}

const range = (lower: string, upper: string): PartitionBounds => ({ kind: 'range', lower, upper })
const value = (text: string): PartitionBounds => ({ kind: 'value', value: text })

describe.each(['UTC', 'America/New_York', 'Asia/Kolkata', 'Pacific/Apia'])('with the time zone %s', (zone) => {
  const cases: [native: string, bounds: PartitionBounds, inside: string[], outside: string[]][] = [
    [
      'TIMESTAMP WITH TIME ZONE',
      range('2024-03-10T05:00:00Z', '2024-03-11T04:00:00Z'),
      ['2024-03-10 05:00:00+00', '2024-03-11 03:59:59.999999+00'],
      ['2024-03-10 04:59:59.999999+00', '2024-03-11 04:00:00+00', 'infinity', '-infinity'],
    ],
    [
      'TIMESTAMP',
      range('2024-03-10T02:30:00', '2024-03-11T00:00:00'),
      ['2024-03-10 02:30:00', '2024-03-10 23:59:59.999999'],
      ['2024-03-10 02:29:59.999999', '2024-03-11 00:00:00'],
    ],
    ['DATE', range('2024-03-10', '2024-03-11'), ['2024-03-10'], ['2024-03-09', '2024-03-11', '20240-03-10']],
    ['DATE', value('2024-03-10'), ['2024-03-10'], ['2024-03-09']],
    ['BIGINT', range('-5', '10'), ['-5', '9'], ['-6', '10', '100', '9223372036854775807']],
    ['SMALLINT', range('0', '1000000'), ['0', '32767'], ['-1']],
    ['INTEGER', value('7'), ['7'], ['70', '-7']],
    ['DECIMAL(9,2)', range('-10000000', '10'), ['-9999999.99', '9.99'], ['10', '100']],
    ['DECIMAL(38,30)', range('0', '100000000'), ['0', '99999999'], ['-0.000001']],
    ['HUGEINT', range('9', '100000000000000000000'), ['9', '99999999999999999999'], ['8', '100000000000000000000']],
    ['BOOLEAN', value('true'), ['true'], ['false']],
    [
      'UUID',
      value('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'),
      ['A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'],
      ['00000000-0000-0000-0000-000000000000'],
    ],
    ['VARCHAR', value("O'Brien"), ["O'Brien"], ["o'brien", "O''Brien", ' ']],
    ['VARCHAR', value('1'), ['1'], ['01', '1 ']],
  ]
  test.each(cases)('%s in %o', async (native, bounds, inside, outside) => {
    const condition = partitionCondition(tableOf(native), 'v', bounds)
    expect(await found(native, [...inside, ...outside], condition, zone)).toEqual(inside.toSorted())
    const within = insideCondition(tableOf(native), 'v', [{ key: 'one', bounds }])
    expect(await found(native, [...inside, ...outside], within, zone)).toEqual(inside.toSorted())
    expect(await found(native, [...inside, ...outside], `(${within}) IS NOT TRUE`, zone)).toEqual(outside.toSorted())
  })
})

test('NULL is in no partition but its own', async () => {
  const table = tableOf('BIGINT')
  await ask('CREATE OR REPLACE TABLE t AS SELECT CAST(x AS BIGINT) AS v FROM (VALUES (1), (NULL)) AS d(x)')
  const counted = (condition: string): Promise<unknown[]> => ask(`SELECT count(*)::INTEGER FROM t WHERE ${condition}`)
  expect(await counted(partitionCondition(table, 'v', range('0', '5')))).toEqual([1])
  expect(await counted(partitionCondition(table, 'v', { kind: 'null' }))).toEqual([1])
  const buckets = [0, 1, 2].map((bucket): PartitionBounds => ({ kind: 'bucket', bucket, of: 3 }))
  expect(await counted(buckets.map((bounds) => partitionCondition(table, 'v', bounds)).join(' OR '))).toEqual([1])
  expect(await counted(`(${insideCondition(table, 'v', [])}) IS NOT TRUE`)).toEqual([2])
})

test('a whole number falls into one bucket, whatever the type of its column', async () => {
  const bucketOf = async (native: string): Promise<unknown[]> => {
    const columns = [0, 1, 2, 3, 4].map((bucket) => {
      const condition = partitionCondition(tableOf(native), 'v', { kind: 'bucket', bucket, of: 5 })
      return `CASE WHEN ${condition} THEN ${bucket} ELSE 0 END`
    })
    await ask(`CREATE OR REPLACE TABLE t AS SELECT CAST(x AS ${native}) AS v FROM range(-40, 40) AS d(x)`)
    return ask(`SELECT ${columns.join(' + ')} FROM t ORDER BY v`)
  }
  const wanted = await bucketOf('BIGINT')
  expect(new Set(wanted).size).toBe(5)
  for (const native of ['SMALLINT', 'HUGEINT', 'DECIMAL(10,2)']) expect(await bucketOf(native)).toEqual(wanted)
})
