// One row of every type as PostgreSQL 15 itself writes it in binary, and what DuckDB then holds.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Load } from '../../core/load.ts'
import type { Column, Table } from '../../core/table.ts'
import { openDatabase } from './database.ts'
import { duckdbTarget } from './target.ts'
import { dataTypeOf } from './type-rules.ts'

/** DuckDB type, binary value in hexadecimal (null: NULL), text that DuckDB prints. */
const VALUES: readonly (readonly [string, string | null, string | null])[] = [
  ['BOOLEAN', '01', 'true'],
  ['SMALLINT', '0001', '1'],
  ['TINYINT', 'ff80', '-128'],
  ['INTEGER', 'fffffffe', '-2'],
  ['BIGINT', '0020000000000001', '9007199254740993'],
  ['FLOAT', '7fc00000', 'nan'],
  ['DOUBLE', '8000000000000000', '-0.0'],
  ['DECIMAL(3,1)', '000200000000000100631388', '99.5'],
  ['DECIMAL(9,2)', '0003000140000002007b11d722c4', '-1234567.89'],
  ['DECIMAL(18,0)', '0005000400000000000c0d801ed204d2162e', '123456789012345678'],
  ['DECIMAL(38,3)', '000a000840000003007b11d722c509291a85007b11d722c509291a7c', '-12345678901234567890123456789012345.678'],
  ['HUGEINT', '0001000940000000000a', String(-(10n ** 37n))],
  ['DATE', 'ffda97cd', '4713-01-01 (BC)'],
  ['DATE', '7fffffff', 'infinity'],
  ['DATE', '80000000', '-infinity'],
  ['TIMESTAMP', '0002b58cd363bfff', '2024-02-29 23:59:59.999999'],
  ['TIMESTAMP WITH TIME ZONE', '7fffffffffffffff', 'infinity'],
  ['TIMESTAMP WITH TIME ZONE', '8000000000000000', '-infinity'],
  ['TIMESTAMP', 'fd0f7fbdaf17e000', '4713-01-01 (BC) 00:00:00'],
  ['TIME', '000000141dd76000', '24:00:00'],
  ['TIME WITH TIME ZONE', '0000000a8be62608ffffb2a8', '12:34:56.789+05:30'],
  ['TIME WITH TIME ZONE', '000000141dd760000000e0ff', '24:00:00-15:59:59'],
  ['INTERVAL', '000000036c966ee0fffffffd0000000e', '1 year 2 months -3 days 04:05:06.7'],
  ['UUID', 'f47ac10b58cc4372a5670e02b2c3d479', 'f47ac10b-58cc-4372-a567-0e02b2c3d479'],
  ['UUID', '00000000000000000000000000000001', '00000000-0000-0000-0000-000000000001'],
  ['BLOB', 'deadbeef', '\\xDE\\xAD\\xBE\\xEF'],
  ['JSON', '7b2261223a312c202261223a327d', '{"a":1, "a":2}'],
  ['JSON', '017b7d', '{}'],
  ['VARCHAR', '', ''],
  ['VARCHAR', '7477656c7665206279746573', 'twelve bytes'],
  ['VARCHAR', '746869727465656e2062797465', 'thirteen byte'],
  ['VARCHAR', '46c3bcc39f6520e697a5e69cac', 'Füße 日本'],
  ['VARCHAR', null, null],
  ['BIGINT', null, null],
  ['UUID', null, null],
]

test('every type arrives as it was', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-types-'))
  const path = join(folder, 'types.duckdb')
  const target = duckdbTarget({ path, stateSchema: null })
  try {
    const columns = VALUES.map(([native], i): Column => ({ name: `c${i}`, type: dataTypeOf(native), native, nullable: true }))
    const table: Table = {
      name: { schema: null, name: 't' },
      columns,
      key: [],
      keyGuaranteed: false,
      identity: '',
      estimatedRows: null,
      estimatedBytes: null,
    }
    const load: Load = {
      pipeline: 'types',
      runId: 'r',
      cause: 'run',
      strategy: 'append',
      format: 'pg-copy-binary',
      table,
      creates: true,
      changes: [{ kind: 'create-table', table }],
      columns,
      key: [],
      keyGuaranteed: false,
      filling: null,
      newestBy: null,
      replaces: null,
      rescuedBelow: null,
      partition: null,
      fingerprint: '',
    }
    const hex = VALUES.map(([, value]) => {
      return value === null ? 'ffffffff' : (value.length / 2).toString(16).padStart(8, '0') + value
    }).join('')
    const tuple = Uint8Array.from(Buffer.from(VALUES.length.toString(16).padStart(4, '0') + hex, 'hex'))
    const stage = await target.begin(load)
    await stage.write({ format: 'pg-copy-binary', rows: 1, bytes: tuple })
    await stage.commit(
      {
        kind: 'state',
        from: null,
        to: { pipeline: 'types', position: { kind: 'watermark', value: null }, epoch: 1n, fingerprint: '', unswept: 0 },
      },
      1,
    )
    const database = openDatabase(path, {})
    const connection = await database.connect()
    const texts = columns.map(({ name }) => `CAST(${name} AS VARCHAR) AS ${name}`).join(', ')
    const [row] = await connection.rows(`SELECT ${texts} FROM t`)
    expect(Object.values(row ?? {}).map((text, i) => [VALUES[i]?.[0], text])).toEqual(VALUES.map(([native, , text]) => [native, text]))
    const described = await target.describe(table.name)
    expect(described?.columns.map(({ native, type }) => [native, type])).toEqual(columns.map(({ native, type }) => [native, type]))
    await connection.close()
    await database.close()
  } finally {
    await target.close()
    rmSync(folder, { recursive: true, force: true })
  }
})
