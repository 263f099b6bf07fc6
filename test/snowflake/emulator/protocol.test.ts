// What the unmodified driver is told: logins, values of every type, counts, large results, files.

import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { DuckDBInstance } from '@duckdb/node-api'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type SnowflakeEmulator, startSnowflake } from '../../../src/testing/snowflake/emulator.ts'
import { connectTo, type SdkClient } from './sdk-client.ts'

let emulator: SnowflakeEmulator
let client: SdkClient

beforeAll(async () => {
  emulator = await startSnowflake({ inlineRows: 100, chunkRows: 500 })
  client = await connectTo(emulator)
})

afterAll(async () => {
  await client[Symbol.asyncDispose]()
  await emulator.stop()
})

describe('login', () => {
  test('by password, key, OAuth and programmatic token', async () => {
    const ways = [
      {},
      { authenticator: 'SNOWFLAKE_JWT', privateKey: emulator.privateKey },
      { authenticator: 'OAUTH', token: emulator.oauthToken },
      { authenticator: 'PROGRAMMATIC_ACCESS_TOKEN', token: emulator.programmaticToken },
    ]
    for (const way of ways) {
      await using session = await connectTo(emulator, way)
      expect(await session.rows('SELECT CURRENT_USER(), CURRENT_DATABASE()')).toEqual([['LOADER', 'RAW']])
    }
  })

  test('is refused with the wrong password, key or token', async () => {
    await expect(connectTo(emulator, { password: 'wrong' })).rejects.toMatchObject({ code: '390100' })
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const foreign = createPrivateKey(privateKey.export({ type: 'pkcs8', format: 'pem' })).export({ type: 'pkcs8', format: 'pem' }) as string
    await expect(connectTo(emulator, { authenticator: 'SNOWFLAKE_JWT', privateKey: foreign })).rejects.toMatchObject({ code: '390144' })
    await expect(connectTo(emulator, { authenticator: 'OAUTH', token: 'other' })).rejects.toMatchObject({ code: '390303' })
  })
})

test('every type comes with its name, its digits and its text', async () => {
  await client.rows(`CREATE OR REPLACE TABLE every_type (
    i NUMBER(38,0), d DECIMAL(12,4), f FLOAT, b BOOLEAN, t VARCHAR(20), day DATE, at TIME, n TIMESTAMP_NTZ, l TIMESTAMP_LTZ,
    z TIMESTAMP_TZ, x BINARY, v VARIANT, fine TIMESTAMP_NTZ(9))`)
  await client.rows(`INSERT INTO every_type SELECT 12345678901234567890123456789012345678, 1234.5678, 0.1, true, 'it''s', '9999-12-31', '23:59:59.123456789',
    '9999-12-31 23:59:59.999999', '2024-02-29 12:00:00 +02:00', '2024-02-29 12:00:00.5 -0930', '00FF', PARSE_JSON('{"a":[1,null]}'), '2024-01-01 00:00:00.123456789'`)
  const statement = await client.statement('SELECT * FROM every_type')
  expect(
    statement.getColumns()!.map((column) => `${column.getName()} ${column.getType()} ${column.getPrecision()} ${column.getScale()}`),
  ).toEqual([
    'I fixed 38 0',
    'D fixed 12 4',
    'F real null null',
    'B boolean null null',
    'T text null null',
    'DAY date null null',
    'AT time 0 9',
    'N timestamp_ntz 0 9',
    'L timestamp_ltz 0 9',
    'Z timestamp_tz 0 9',
    'X binary null null',
    'V variant null null',
    'FINE timestamp_ntz 0 9',
  ])
  await using pinned = await connectTo(emulator)
  await pinned.rows(`ALTER SESSION SET TIMESTAMP_NTZ_OUTPUT_FORMAT = 'YYYY-MM-DD HH24:MI:SS.FF9', TIMESTAMP_LTZ_OUTPUT_FORMAT = 'YYYY-MM-DD HH24:MI:SS.FF9 TZH:TZM',
    TIMESTAMP_TZ_OUTPUT_FORMAT = 'YYYY-MM-DD HH24:MI:SS.FF9 TZH:TZM', TIME_OUTPUT_FORMAT = 'HH24:MI:SS.FF9'`)
  expect(await pinned.rows('SELECT * FROM every_type')).toEqual([
    [
      '12345678901234567890123456789012345678',
      '1234.5678',
      '0.1',
      'TRUE',
      "it's",
      '9999-12-31',
      '23:59:59.123456789',
      '9999-12-31 23:59:59.999999000',
      '2024-02-29 10:00:00.000000000 +00:00',
      '2024-02-29 12:00:00.500000000 -09:30',
      '00FF',
      '{"a":[1,null]}',
      '2024-01-01 00:00:00.123456789',
    ],
  ])
  expect(
    await pinned.rows('SELECT n::VARCHAR, l::VARCHAR, z::VARCHAR, fine::VARCHAR, TO_VARCHAR(n, \'YYYY"T"MM\') FROM every_type'),
  ).toEqual([
    [
      '9999-12-31 23:59:59.999999000',
      '2024-02-29 10:00:00.000000000 +00:00',
      '2024-02-29 12:00:00.500000000 -09:30',
      '2024-01-01 00:00:00.123456789',
      '9999T12',
    ],
  ])
})

test('names are folded unless quoted, and columns without one are named by their text', async () => {
  await client.rows('CREATE OR REPLACE TABLE folded (id INT, "id" INT, "Straße" INT)')
  await client.rows('INSERT INTO FOLDED (ID, "id") VALUES (1, 2)')
  const statement = await client.statement('select id, "id", "Straße", count(*) over (), id + 1 from folded')
  expect(statement.getColumns()!.map((column) => column.getName())).toEqual(['ID', 'id', 'Straße', 'COUNT(*) OVER ()', 'ID + 1'])
  expect(await client.rows('select folded.id, raw.public.folded."id" from folded where "id" = 2')).toEqual([['1', '2']])
  await expect(client.rows('select "Id" from folded')).rejects.toMatchObject({ code: '000904' })
  await expect(client.rows('select id from "folded"')).rejects.toMatchObject({ code: '002003' })
})

test('binds, counts of rows and several statements at once', async () => {
  await client.rows('CREATE OR REPLACE TABLE counted (id INT, v VARCHAR, n NUMBER(10,2))')
  const inserted = await client.statement('INSERT INTO counted VALUES (?, ?, ?), (?, ?, ?)', {
    binds: [1, "o'k\\n", 1.5, 2, null as never, 2],
  })
  expect(inserted.getNumUpdatedRows()).toBe(2)
  await client.statement('INSERT INTO counted (id, v) VALUES (?, ?)', {
    binds: [
      [3, 'c'],
      [4, 'd'],
    ] as never,
  })
  expect(await client.rows('SELECT id, v, n FROM counted WHERE id <= :1 ORDER BY id', [3])).toEqual([
    ['1', "o'k\\n", '1.50'],
    ['2', null, '2.00'],
    ['3', 'c', null],
  ])
  expect((await client.statement('UPDATE counted SET v = v || ? WHERE id > 2', { binds: ['!'] })).getNumUpdatedRows()).toBe(2)
  expect((await client.statement('DELETE FROM counted WHERE id = 1')).getNumUpdatedRows()).toBe(1)
  await client.statement('BEGIN; INSERT INTO counted VALUES (?, ?, 0); COMMIT', {
    parameters: { MULTI_STATEMENT_COUNT: 3 },
    binds: [9, 'nine'],
  } as never)
  expect(await client.rows("SELECT count(*) FROM counted WHERE v = 'nine'")).toEqual([['1']])
  await expect(client.rows('SELECT 1; SELECT 2')).rejects.toMatchObject({ code: '000008' })
})

test('a large result comes in chunks, in order', async () => {
  await client.rows('CREATE OR REPLACE TABLE many AS SELECT SEQ4() AS id FROM TABLE(GENERATOR(ROWCOUNT => 3210))')
  const rows = await client.rows('SELECT id FROM many ORDER BY id DESC')
  expect(rows.length).toBe(3210)
  expect(rows.map(([id]) => Number(id))).toEqual(Array.from({ length: 3210 }, (_, index) => 3209 - index))
})

test('files are put, listed, copied once and removed; NULL and the empty text stay apart', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'put-'))
  try {
    writeFileSync(join(folder, 'a.csv.gz'), gzipSync('1,"a, ""b""\nc"\n2,\n3,""\n'))
    await client.rows('CREATE OR REPLACE TRANSIENT TABLE staged (id INT NOT NULL, v VARCHAR(10))')
    await client.rows(`PUT file://${folder}/a.csv.gz @~/tidemark/run1/ AUTO_COMPRESS=FALSE SOURCE_COMPRESSION=GZIP OVERWRITE=TRUE`)
    expect((await client.rows('LIST @~/tidemark/run1')).map(([name]) => name)).toEqual(['tidemark/run1/a.csv.gz'])
    const copy = `COPY INTO staged FROM @~/tidemark/run1/ FILE_FORMAT = (TYPE = CSV FIELD_OPTIONALLY_ENCLOSED_BY = '"' ESCAPE_UNENCLOSED_FIELD = NONE NULL_IF = ()) ON_ERROR = ABORT_STATEMENT`
    expect((await client.rows(copy)).map((row) => row.slice(0, 4))).toEqual([['tidemark/run1/a.csv.gz', 'LOADED', '3', '3']])
    expect(await client.rows(copy)).toEqual([['Copy executed with 0 files processed.']])
    expect(await client.rows('SELECT * FROM staged ORDER BY id')).toEqual([
      ['1', 'a, "b"\nc'],
      ['2', null],
      ['3', ''],
    ])
    expect(await client.rows('REMOVE @~/tidemark/run1/')).toEqual([['tidemark/run1/a.csv.gz', 'removed']])
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('MERGE by the first clause that holds, with counts of each', async () => {
  await client.rows('CREATE OR REPLACE TABLE goal (id INT, v VARCHAR)')
  await client.rows("INSERT INTO goal VALUES (1, 'a'), (2, 'b'), (3, 'c')")
  const named =
    "(SELECT 2 AS id, 'B' AS v, false AS gone UNION ALL SELECT 3, 'C', true UNION ALL SELECT 4, 'D', false UNION ALL SELECT 5, 'E', true)"
  const merge = `MERGE INTO goal AS g USING ${named} s ON g.id = s.id WHEN MATCHED AND s.gone THEN DELETE WHEN MATCHED THEN UPDATE SET g.v = s.v
    WHEN NOT MATCHED AND NOT s.gone THEN INSERT (id, v) VALUES (s.id, s.v)`
  expect(await client.rows(merge)).toEqual([['1', '1', '1']])
  expect(await client.rows('SELECT * FROM goal ORDER BY id')).toEqual([
    ['1', 'a'],
    ['2', 'B'],
    ['4', 'D'],
  ])
})

test('the catalog tells of tables and columns', async () => {
  await client.rows("CREATE OR REPLACE TABLE told (id NUMBER(10,0) NOT NULL PRIMARY KEY, v VARCHAR(5) DEFAULT 'x', at TIMESTAMP_LTZ(3))")
  expect(
    await client.rows(
      "SELECT COLUMN_NAME, DATA_TYPE, IS_NULLABLE, NUMERIC_PRECISION, CHARACTER_MAXIMUM_LENGTH, DATETIME_PRECISION FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_SCHEMA = 'PUBLIC' AND TABLE_NAME = 'TOLD' ORDER BY ORDINAL_POSITION",
    ),
  ).toEqual([
    ['ID', 'NUMBER', 'NO', '10', null, null],
    ['V', 'TEXT', 'YES', null, '5', null],
    ['AT', 'TIMESTAMP_LTZ', 'YES', null, null, '3'],
  ])
  expect((await client.rows('DESCRIBE TABLE told')).map((row) => row.slice(0, 4))).toEqual([
    ['ID', 'NUMBER(10,0)', 'COLUMN', 'N'],
    ['V', 'VARCHAR(5)', 'COLUMN', 'Y'],
    ['AT', 'TIMESTAMP_LTZ(3)', 'COLUMN', 'Y'],
  ])
  expect((await client.rows('SHOW PRIMARY KEYS IN TABLE told')).map((row) => row[4])).toEqual(['ID'])
  expect((await client.rows("SHOW TABLES LIKE 'tol%'")).map((row) => row[1])).toEqual(['TOLD'])
})

test('unknown statements, functions, types and parameters are refused by name', async () => {
  for (const [sql, name] of [
    ['CREATE VIEW v AS SELECT 1', 'CREATE VIEW'],
    ['CALL p()', 'the statement CALL'],
    ['SELECT SOUNDEX(1)', 'the function SOUNDEX'],
    ['SELECT 1 / 0', 'division'],
    ['SELECT v:a FROM t', 'the symbol :'],
    ['CREATE TABLE x (v VECTOR(FLOAT, 3))', 'the type VECTOR'],
    ['ALTER SESSION SET WHATEVER = 1', 'the parameter WHATEVER'],
    ['SELECT * FROM TABLE(FLATTEN(1))', 'TABLE(FLATTEN'],
  ]) {
    await expect(client.rows(sql!)).rejects.toMatchObject({ code: '000002', message: expect.stringContaining(name!) })
  }
})

test('time travel and CHANGES between two moments', async () => {
  await client.rows('CREATE OR REPLACE TABLE travelled (id INT, v VARCHAR) CHANGE_TRACKING = TRUE')
  const now = async () => (await client.rows("SELECT TO_VARCHAR(CURRENT_TIMESTAMP(), 'YYYY-MM-DD HH24:MI:SS.FF6')"))[0]![0]
  await client.rows("INSERT INTO travelled VALUES (1, 'a')")
  const first = await now()
  await client.rows("UPDATE travelled SET v = 'b'")
  const second = await now()
  await client.rows('DELETE FROM travelled')
  expect(await client.rows(`SELECT v FROM travelled AT(TIMESTAMP => '${first}'::TIMESTAMP_LTZ)`)).toEqual([['a']])
  expect(await client.rows(`SELECT v FROM travelled AT(TIMESTAMP => TO_TIMESTAMP_LTZ('${second}')) ORDER BY v`)).toEqual([['b']])
  const changes = (end: string) =>
    client.rows(
      `SELECT v, METADATA$ACTION FROM travelled CHANGES(INFORMATION => DEFAULT) AT(TIMESTAMP => '${first}'::TIMESTAMP_LTZ) ${end} ORDER BY 1`,
    )
  expect(await changes(`END(TIMESTAMP => '${second}'::TIMESTAMP_LTZ)`)).toEqual([
    ['a', 'DELETE'],
    ['b', 'INSERT'],
  ])
  expect(await changes('')).toEqual([['a', 'DELETE']])
  await expect(client.rows("SELECT * FROM travelled AT(TIMESTAMP => '2020-01-01'::TIMESTAMP_LTZ)")).rejects.toMatchObject({
    code: '000707',
  })
})

test('what SHOW and DESCRIBE tell of streams, parameters and transactions', async () => {
  await client.rows('CREATE OR REPLACE TABLE watched (id INT)')
  await client.rows('CREATE OR REPLACE STREAM watching ON TABLE watched APPEND_ONLY = TRUE')
  const statement = await client.statement("SHOW STREAMS LIKE 'WATCHING'")
  expect(
    statement
      .getColumns()!
      .map((column) => column.getName())
      .slice(6),
  ).toEqual(['table_name', 'source_type', 'base_tables', 'type', 'stale', 'mode', 'stale_after', 'invalid_reason', 'owner_role_type'])
  const [row] = await client.rows('DESCRIBE STREAM watching')
  expect(row!.slice(6, 12)).toEqual(['RAW.PUBLIC.WATCHED', 'Table', 'RAW.PUBLIC.WATCHED', 'DELTA', 'false', 'APPEND_ONLY'])
  expect((await client.rows("SHOW PARAMETERS LIKE '%EXTENSION%' IN TABLE watched")).map((one) => one.slice(0, 2))).toEqual([
    ['MAX_DATA_EXTENSION_TIME_IN_DAYS', '14'],
  ])
  await client.rows('BEGIN')
  await client.rows('DELETE FROM watched')
  expect((await client.rows('SHOW LOCKS')).map((one) => [one[0], one[4]])).toEqual([['RAW.PUBLIC.WATCHED', 'HOLDING']])
  expect((await client.rows('SHOW TRANSACTIONS')).length).toBe(1)
  await client.rows('ROLLBACK')
})

test('columns are added, widened, renamed and dropped; what would lose values is refused', async () => {
  await client.rows('CREATE OR REPLACE TABLE altered (id INT, v VARCHAR(5), n NUMBER(4,2))')
  await client.rows("INSERT INTO altered VALUES (1, 'abc', 1.5)")
  await client.rows("ALTER TABLE altered ADD COLUMN w VARCHAR DEFAULT 'new', x INT")
  await client.rows('ALTER TABLE altered ALTER COLUMN v SET DATA TYPE VARCHAR(10)')
  await client.rows('ALTER TABLE altered ALTER n TYPE NUMBER(9,2), COLUMN id SET NOT NULL')
  await client.rows('ALTER TABLE altered RENAME COLUMN v TO "v"')
  await client.rows('ALTER TABLE altered DROP COLUMN x')
  expect(await client.rows('SELECT * FROM altered')).toEqual([['1', 'abc', '1.50', 'new']])
  await expect(client.rows('ALTER TABLE altered ALTER n TYPE NUMBER(9,3)')).rejects.toMatchObject({ code: '002108' })
  await expect(client.rows('ALTER TABLE altered ADD COLUMN id INT')).rejects.toMatchObject({ code: '001430' })
  await expect(client.rows('SELECT x FROM altered')).rejects.toMatchObject({ code: '000904' })
})

test('columns of a file are chosen and converted on the way in; what does not fit stops all of it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'put-'))
  try {
    writeFileSync(join(folder, 'good.csv'), '1;2024-01-01\n2;\n')
    writeFileSync(join(folder, 'worse.csv'), '3;2024-01-02\nx;2024-01-03\n')
    await client.rows('CREATE OR REPLACE TABLE chosen (day DATE, id INT, source VARCHAR)')
    await client.rows(`PUT 'file://${folder}/*.csv' @%chosen`)
    const format = "FILE_FORMAT = (TYPE = CSV FIELD_DELIMITER = ';' ESCAPE_UNENCLOSED_FIELD = NONE NULL_IF = ())"
    const copy = (files: string) =>
      `COPY INTO chosen (id, day, source) FROM (SELECT $1, $2::DATE, 'file' FROM @%chosen) FILES = (${files}) ${format}`
    await expect(client.rows(copy("'good.csv.gz', 'worse.csv.gz'"))).rejects.toThrow(/not recognized/)
    expect(await client.rows('SELECT count(*) FROM chosen')).toEqual([['0']])
    await client.rows(copy("'good.csv.gz'"))
    expect(await client.rows('SELECT id, day, source FROM chosen ORDER BY id')).toEqual([
      ['1', '2024-01-01', 'file'],
      ['2', null, 'file'],
    ])
    await expect(client.rows('COPY INTO chosen FROM @%chosen FILE_FORMAT = (TYPE = JSON)')).rejects.toThrow(/files of type JSON/)
    const back = mkdtempSync(join(folder, 'back-'))
    await client.rows(`GET @%chosen/good file://${back}/`)
    expect(gunzipSync(readFileSync(join(back, 'good.csv.gz'))).toString()).toBe('1;2024-01-01\n2;\n')
    expect((await client.rows('LIST @%chosen')).map(([name]) => name)).toEqual(['good.csv.gz', 'worse.csv.gz'])
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('a value of a file that does not fit is named with its place', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'put-'))
  try {
    writeFileSync(join(folder, 'bad.csv.gz'), gzipSync('"1","2024-01-01","x"\n"2","infinity","y"\n'))
    await client.rows('CREATE OR REPLACE TABLE placed (id INT, day DATE, v VARCHAR(3))')
    await client.rows(`PUT 'file://${folder}/bad.csv.gz' '@~/placed/' AUTO_COMPRESS=FALSE SOURCE_COMPRESSION=GZIP`)
    const format = `FILE_FORMAT = (TYPE = CSV FIELD_OPTIONALLY_ENCLOSED_BY = '"' ESCAPE_UNENCLOSED_FIELD = NONE NULL_IF = ())`
    await expect(client.rows(`COPY INTO placed FROM '@~/placed/' ${format}`)).rejects.toMatchObject({
      code: '100040',
      message: `Date 'infinity' is not recognized\n  File 'placed/bad.csv.gz', line 2, character 1\n  Row 2, column "PLACED"["DAY":2]`,
    })
    expect(await client.rows('SELECT count(*) FROM placed')).toEqual([['0']])
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('Parquet is loaded by the names of its columns', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'put-'))
  const database = await DuckDBInstance.create(':memory:')
  const duck = await database.connect()
  try {
    await duck.run(
      `COPY (SELECT 'text' AS v, 7 AS id, TIMESTAMP '2024-01-01 00:00:00.5' AS at) TO '${folder}/one.parquet' (FORMAT parquet)`,
    )
    await client.rows('CREATE OR REPLACE TABLE parqueted (id INT, at TIMESTAMP_NTZ, v VARCHAR, absent INT)')
    await client.rows(`PUT 'file://${folder}/one.parquet' '@~/parquet/' AUTO_COMPRESS=FALSE`)
    await client.rows("COPY INTO parqueted FROM '@~/parquet/' FILE_FORMAT = (TYPE = PARQUET) MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE")
    expect(await client.rows('SELECT id, v, at::VARCHAR, absent FROM parqueted')).toEqual([['7', 'text', '2024-01-01 00:00:00.500', null]])
  } finally {
    duck.closeSync()
    database.closeSync()
    rmSync(folder, { recursive: true })
  }
})
