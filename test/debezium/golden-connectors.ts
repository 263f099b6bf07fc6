// Messages of Debezium's connectors for other databases, as their documentation gives them: none of those databases runs in the tests. Of
// each a source block, and the types of its columns with their schemas.

type Schema = Readonly<Record<string, unknown>>

export interface ForeignColumn {
  /** As its database declares it. */
  readonly type: string
  readonly schema: Schema
  /** In the message. */
  readonly json: string
  /** What it is here, and its text. */
  readonly declared: string
  readonly text: string | null
}

export interface ForeignConnector {
  readonly name: string
  /** As the pipeline names the table: with its database where there is no schema. */
  readonly table: { readonly schema: string; readonly name: string }
  readonly source: Readonly<Record<string, unknown>>
  /** The same table's name in another database or schema. */
  readonly elsewhere: Readonly<Record<string, unknown>>
  /** Of a streamed change; null where nothing tells an order. */
  readonly position: { readonly lsn: bigint; readonly lastCommit: bigint } | null
  readonly columns: readonly ForeignColumn[]
}

const column = (type: string, schema: Schema | string, json: string, declared: string, text: string | null): ForeignColumn => ({
  type,
  schema: typeof schema === 'string' ? { type: schema } : schema,
  json,
  declared,
  text,
})
const named = (type: string, name: string, parameters: Schema = {}): Schema => ({ type, name, parameters })
const decimal = (scale: number, precision: number): Schema =>
  named('bytes', 'org.apache.kafka.connect.data.Decimal', { scale: String(scale), 'connect.decimal.precision': String(precision) })
const MICRO_TIMESTAMP = named('int64', 'io.debezium.time.MicroTimestamp')
const TIMESTAMP = named('int64', 'io.debezium.time.Timestamp')
const ZONED = named('string', 'io.debezium.time.ZonedTimestamp')
const VARIABLE: Schema = {
  ...named('struct', 'io.debezium.data.VariableScaleDecimal'),
  fields: [
    { field: 'scale', type: 'int32' },
    { field: 'value', type: 'bytes' },
  ],
}
const TS = { ts_ms: 1465581902461, ts_us: 1465581902461000, ts_ns: 1465581902461000000 }

const BINLOG: readonly ForeignColumn[] = [
  column('BIT(1)', 'boolean', 'true', 'boolean', 'true'),
  column('BIT(10)', named('bytes', 'io.debezium.data.Bits', { length: '10' }), '"BQI="', 'bit(10)', '1000000101'),
  column('TINYINT', 'int16', '-128', 'smallint', '-128'),
  column('INT UNSIGNED', 'int64', '4294967295', 'bigint', '4294967295'),
  column('BIGINT', 'int64', '-9223372036854775808', 'bigint', '-9223372036854775808'),
  column('BIGINT UNSIGNED, precise', decimal(0, 20), '"AP//////////"', 'numeric(20,0)', '18446744073709551615'),
  column('DECIMAL(5,2)', decimal(2, 5), '"BBo="', 'numeric(5,2)', '10.50'),
  column('DOUBLE', 'double', '0.1', 'double precision', '0.1'),
  column('VARCHAR(20)', 'string', '"ünï"', 'text', 'ünï'),
  column('BLOB', 'bytes', '"AP8="', 'bytea', '\\x00ff'),
  column('JSON', named('string', 'io.debezium.data.Json'), '"{\\"a\\":1}"', 'json', '{"a":1}'),
  column('ENUM', named('string', 'io.debezium.data.Enum', { allowed: 'a,b' }), '"a"', 'text', 'a'),
  column('SET', named('string', 'io.debezium.data.EnumSet', { allowed: 'a,b' }), '"a,b"', 'text', 'a,b'),
  column('YEAR', named('int32', 'io.debezium.time.Year'), '2026', 'integer', '2026'),
  column('DATE', named('int32', 'io.debezium.time.Date'), '20512', 'date', '2026-02-28'),
  column('TIME(6)', named('int64', 'io.debezium.time.MicroTime'), '3600000001', 'time without time zone', '01:00:00.000001'),
  column('DATETIME', TIMESTAMP, '1529507596000', 'timestamp(3) without time zone', '2018-06-20 15:13:16'),
  column('DATETIME(6)', MICRO_TIMESTAMP, '1529507596945104', 'timestamp without time zone', '2018-06-20 15:13:16.945104'),
  column('TIMESTAMP', ZONED, '"2018-06-20T15:13:16Z"', 'timestamp with time zone', '2018-06-20 15:13:16+00'),
]

const mysql = {
  ...{ version: '3.7.0.Final', name: 'dbserver', ...TS, snapshot: 'false', db: 'inventory', sequence: null, table: 'customers' },
  ...{ server_id: 223344, gtid: null, file: 'mysql-bin.000003', pos: 484, row: 0, thread: 7, query: null },
}

export const FOREIGN_CONNECTORS: readonly ForeignConnector[] = [
  {
    name: 'mysql',
    table: { schema: 'inventory', name: 'customers' },
    source: { ...mysql, connector: 'mysql' },
    elsewhere: { db: 'archive' },
    position: null,
    columns: BINLOG,
  },
  {
    name: 'mariadb',
    table: { schema: 'inventory', name: 'customers' },
    source: { ...mysql, connector: 'mariadb', gtid: '0-223344-15' },
    elsewhere: { db: 'archive' },
    position: null,
    columns: BINLOG,
  },
  {
    name: 'sqlserver',
    table: { schema: 'dbo', name: 'customers' },
    source: {
      ...{ version: '3.7.0.Final', connector: 'sqlserver', name: 'server1', ...TS, snapshot: 'false', db: 'testDB', sequence: null },
      ...{
        schema: 'dbo',
        table: 'customers',
        change_lsn: '00000027:00000758:0003',
        commit_lsn: '00000027:00000758:0005',
        event_serial_no: '1',
      },
    },
    elsewhere: { schema: 'sales' },
    position: { lsn: (0x27_0000_0758_0003n << 32n) | 1n, lastCommit: 0x27_0000_0758_0005n },
    columns: [
      column('BIT', 'boolean', 'false', 'boolean', 'false'),
      column('TINYINT', 'int16', '255', 'smallint', '255'),
      column('BIGINT', 'int64', '9007199254740993', 'bigint', '9007199254740993'),
      column('REAL', 'float', '0.1', 'real', '0.1'),
      column('MONEY', decimal(4, 19), '"AZoo"', 'numeric(19,4)', '10.5000'),
      column('NVARCHAR(20)', 'string', '"ünï"', 'text', 'ünï'),
      column('UNIQUEIDENTIFIER', 'string', '"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"', 'text', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'),
      column('XML', named('string', 'io.debezium.data.Xml'), '"<r/>"', 'xml', '<r/>'),
      column('DATE', named('int32', 'io.debezium.time.Date'), '20512', 'date', '2026-02-28'),
      column('TIME(0)', named('int32', 'io.debezium.time.Time'), '3600001', 'time(3) without time zone', '01:00:00.001'),
      column('TIME(7)', named('int64', 'io.debezium.time.NanoTime'), '3600000001000', 'time without time zone', '01:00:00.000001'),
      column('DATETIME', TIMESTAMP, '1529507596945', 'timestamp(3) without time zone', '2018-06-20 15:13:16.945'),
      column(
        'DATETIME2(7)',
        named('int64', 'io.debezium.time.NanoTimestamp'),
        '1529507596945104000',
        'timestamp without time zone',
        '2018-06-20 15:13:16.945104',
      ),
      // A digit more than fits: refused, not rounded.
      column('DATETIME2(7)', named('int64', 'io.debezium.time.NanoTimestamp'), '1529507596945104100', 'timestamp without time zone', null),
      column('DATETIMEOFFSET', ZONED, '"2018-06-20T17:13:16+02:00"', 'timestamp with time zone', '2018-06-20 15:13:16+00'),
    ],
  },
  {
    name: 'oracle',
    table: { schema: 'DEBEZIUM', name: 'CUSTOMERS' },
    source: {
      ...{ version: '3.7.0.Final', connector: 'oracle', name: 'server1', ...TS, snapshot: 'false', db: 'ORCLPDB1', sequence: null },
      ...{ schema: 'DEBEZIUM', table: 'CUSTOMERS', txId: '6.28.807', scn: '2122185', commit_scn: '2122185', rs_id: '001234.00012345.0124' },
      ...{ ssn: 1, redo_thread: 1, user_name: 'user', row_id: 'AAASgjAAMAAAACnAAA' },
    },
    elsewhere: { schema: 'OTHER' },
    position: null,
    columns: [
      column('NUMBER(9)', 'int32', '123456789', 'integer', '123456789'),
      column('NUMBER(38)', decimal(0, 38), '"SztMqFqGxHoJiiI//////w=="', 'numeric(38,0)', '99999999999999999999999999999999999999'),
      column('NUMBER', VARIABLE, '{"scale":2,"value":"BBo="}', 'numeric', '10.50'),
      // A column that NULL is written to; with PostgreSQL it may have been left out.
      column('NUMBER', VARIABLE, 'null', 'numeric', 'NULL'),
      column('BINARY_DOUBLE', 'double', '"NaN"', 'double precision', 'NaN'),
      column('VARCHAR2(20)', 'string', '"ünï"', 'text', 'ünï'),
      column('RAW(20)', 'bytes', '"AP8="', 'bytea', '\\x00ff'),
      column('DATE', TIMESTAMP, '1529507596000', 'timestamp(3) without time zone', '2018-06-20 15:13:16'),
      column('TIMESTAMP', MICRO_TIMESTAMP, '1529507596945104', 'timestamp without time zone', '2018-06-20 15:13:16.945104'),
      column('TIMESTAMP WITH TIME ZONE', ZONED, '"2018-06-20T15:13:16.5Z"', 'timestamp with time zone', '2018-06-20 15:13:16.5+00'),
      column(
        'INTERVAL DAY TO SECOND, string',
        named('string', 'io.debezium.time.Interval'),
        '"P0Y0M3DT4H5M6S"',
        'interval',
        '3 days 04:05:06',
      ),
    ],
  },
]
