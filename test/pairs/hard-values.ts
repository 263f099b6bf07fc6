// A column for every type of PostgreSQL, with the values that break loaders: extremes, infinities, values that equal without
// being the same, and text that is mistaken for something else.

import type { FreshDatabase } from '../servers/fresh-database.ts'

export interface HardColumn {
  readonly type: string
  readonly values: readonly string[]
  /** The first server version that knows type and values. */
  readonly since?: number
  /** DuckDB keeps it as text, exactly as PostgreSQL prints it. */
  readonly text?: true
}

const BYTES = `\\x${Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0')).join('')}`
const CONTROLS = Array.from({ length: 31 }, (_, code) => String.fromCodePoint(code + 1)).join('')

const NASTY_TEXT: readonly string[] = [
  '',
  ' ',
  'ends in blanks   ',
  CONTROLS,
  '\u007f\u0080\u0085\u009f\u00a0\u00ad',
  '\r',
  '\n',
  '\r\n\t\\N\n\\.\n',
  '\\.',
  '\\N',
  '\\'.repeat(777),
  'NULL',
  'null',
  'NaN',
  '-0',
  'it\'\'s "quoted" `here`',
  "'; DROP TABLE hard; --",
  'comma, "double ""quotes""", semi;colon|pipe',
  '=SUM(A1:A9)',
  '{"json": [1, 2]}',
  '{an,"array",NULL}',
  '\\x00ff',
  '${env:HOME} $(id) $1 %s',
  'zero\u200bwidth\u200d\u2060\u202eturned\u202c\u2028\u2029',
  'e\u0301 against \u00e9',
  'İıſß ﬀ',
  '👩‍👩‍👧‍👦🏴󠁧󠁢󠁳󠁣󠁴󠁿',
  '\u{10ffff}\u{1f680}\uffff\ufffe\ufffd',
  'שלום مرحبا 日本語',
  'ü'.repeat(65_537),
  'x'.repeat(8191),
  'five megabytes,\n"quoted"\t'.repeat(200_000),
]

export const HARD: readonly HardColumn[] = [
  { type: 'boolean', values: ['t', 'f'] },
  { type: 'smallint', values: ['-32768', '32767', '0'] },
  { type: 'integer', values: ['-2147483648', '2147483647'] },
  { type: 'bigint', values: ['-9223372036854775808', '9223372036854775807', '9007199254740993'] },
  { type: 'oid', values: ['0', '4294967295'] },
  {
    type: 'numeric',
    values: ['0', '0.00', '1.10', '-0.000000000000000000001', 'NaN', `${'7'.repeat(1000)}.${'3'.repeat(1000)}`],
    text: true,
  },
  { type: 'numeric ', values: ['Infinity', '-Infinity'], since: 14, text: true },
  { type: 'numeric(38,0)', values: ['9'.repeat(38), `-${'9'.repeat(38)}`] },
  { type: 'numeric(38,38)', values: [`0.${'9'.repeat(38)}`, `-0.${'0'.repeat(37)}1`] },
  { type: 'numeric(4,2)', values: ['99.99', '-0.01', '5'] },
  { type: 'numeric(90,40)', values: [`${'9'.repeat(50)}.${'9'.repeat(40)}`, 'NaN'], text: true },
  { type: 'numeric(3,-2)', values: ['99900', '-100'], since: 15 },
  { type: 'numeric(2,5)', values: ['0.00099'], since: 15 },
  { type: 'real', values: ['0.1', '3.4028235e38', '-1e-45', 'NaN', 'Infinity', '-Infinity', '-0'] },
  {
    type: 'double precision',
    values: ['0.1', '0.30000000000000004', '1.7976931348623157e308', '5e-324', 'NaN', '-Infinity', '-0', '1e15'],
  },
  { type: 'money', values: ['-92233720368547758.08', '92233720368547758.07', '0'], text: true },
  { type: 'date', values: ['4713-01-01 BC', '0001-12-31 BC', '0001-01-01', '2024-02-29', '5874897-12-31', 'infinity', '-infinity'] },
  { type: 'time', values: ['00:00:00', '23:59:59.999999', '24:00:00', '12:00:00.000001'] },
  { type: 'time(0)', values: ['23:59:59'] },
  { type: 'timetz', values: ['00:00:00+15:59:59', '24:00:00-15:59:59', '12:34:56.654321-04:56:02', '08:00:00+05:45'] },
  {
    type: 'timestamp',
    values: [
      '4713-01-01 00:00:00 BC',
      '0001-12-31 23:59:59.999999 BC',
      '2024-03-10 02:30:00',
      '294276-12-31 23:59:59.999999',
      'infinity',
      '-infinity',
    ],
  },
  {
    type: 'timestamptz',
    values: ['4713-12-01 00:00:00+00 BC', '1883-11-18 12:03:57+00', '1969-12-31 23:59:59.999999+00', 'infinity', '-infinity'],
  },
  { type: 'timestamptz(3)', values: ['2024-11-03 01:30:00.123-04', '2024-11-03 01:30:00.123-05'] },
  {
    type: 'interval',
    values: ['1 year 2 mons -3 days 04:05:06.789', '-178000000 years', '720:00:00', '30 days', '1 mon', '-00:00:00.000001', '0'],
  },
  { type: 'text', values: NASTY_TEXT, text: true },
  // DuckDB's driver hides a byte order mark when it reads.
  { type: 'text ', values: ['\ufeffbyte order mark'] },
  { type: 'varchar(10)', values: ['', 'ü'.repeat(10), 'blank  '], text: true },
  { type: 'char(6)', values: ['', 'ab', 'ünïcöd'] },
  { type: '"char"', values: ['a', '\\', '~'], text: true },
  { type: 'name', values: ['n'.repeat(63), 'quoted "name"'], text: true },
  { type: 'bytea', values: ['\\x', '\\x00', BYTES, `\\x${'5c27'.repeat(3000)}`] },
  {
    type: 'json',
    values: ['{"a": 1,  "a":2, "__proto__": {"x": null}}', 'null', '"\\u0000\\ud83d"', ' [1e400, -0, 12345678901234567890.10] '],
  },
  { type: 'jsonb', values: ['{"b":1,"a":9007199254740993.10,"constructor":{}}', 'null', '"null"', '[[],{},"",-0]'] },
  { type: 'xml', values: ['<a>x &amp; y<b c="1"/></a>', 'no <i>root</i>', '<!-- only a comment -->'], text: true },
  { type: 'jsonpath', values: ['$."a"[*] ? (@ > 1)'], text: true },
  { type: 'tsvector', values: ["'a':1A 'it''s':2,16383 'plain'", ''], text: true },
  { type: 'tsquery', values: ["!'a' & 'b':*A <2> 'c'"], text: true },
  {
    type: 'uuid',
    values: ['00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '7fffffff-0000-4000-8000-000000000000'],
  },
  { type: 'inet', values: ['192.168.7.9/24', '::', '2001:db8::1/64', '::ffff:10.0.0.1'], text: true },
  { type: 'cidr', values: ['10.0.0.0/8', '2001:db8::/32'], text: true },
  { type: 'macaddr', values: ['08:00:2b:ff:00:03'], text: true },
  { type: 'macaddr8', values: ['08:00:2b:01:02:03:04:05'], text: true },
  { type: 'bit(5)', values: ['00000', '10110'], text: true },
  { type: 'varbit(70)', values: ['', '1', '01'.repeat(35)], text: true },
  { type: 'varbit', values: ['1'.repeat(1000)], text: true },
  { type: 'mood', values: ['plain', "it's", '"so, so"'], text: true },
  { type: 'positive', values: ['1', '9223372036854775807'] },
  { type: 'short_code', values: ['abc', ''], text: true },
  { type: 'pair', values: ['(1,"a ""quoted"", b")', '(,)', '(-1,"")'], text: true },
  { type: 'int4range', values: ['[1,5)', 'empty', '(,)', '(,7)'], text: true },
  { type: 'numrange', values: ['(1.10,2.50]', '[NaN,]'], text: true },
  { type: 'daterange', values: ['[-infinity,2024-03-01)', 'empty'], text: true },
  { type: 'int8multirange', values: ['{[1,3),[9,)}', '{}'], since: 14, text: true },
  { type: 'datemultirange', values: ['{[2024-01-01,2024-02-01),[2024-03-01,2024-04-01)}'], since: 14, text: true },
  { type: 'int[]', values: ['{}', '{1,NULL,-3}', '{{1,2},{3,4}}', '[-2:0]={7,8,9}', '[1:1][3:4]={{5,6}}'], text: true },
  { type: 'text[]', values: ['{"NULL",NULL,"","a,b","{}","back\\\\slash","\\"q\\""}', '{}'], text: true },
  { type: 'varchar(3)[]', values: ['{abc,NULL}'], text: true },
  { type: 'numeric(5,2)[]', values: ['{1.10,-0.50,NULL}'], text: true },
  { type: 'bytea[]', values: ['{"\\\\x00ff",NULL}'], text: true },
  { type: 'uuid[]', values: ['{00000000-0000-0000-0000-00000000000a}'], text: true },
  { type: 'mood[]', values: ['{plain,"it\'s",NULL}', '{}'], text: true },
  { type: 'point', values: ['(0.1,-1e+300)', '(NaN,Infinity)'], text: true },
  { type: 'line', values: ['{1,-1,0.5}'], text: true },
  { type: 'lseg', values: ['[(0,0),(1,2.5)]'], text: true },
  { type: 'box', values: ['(3,4),(1,2)'], text: true },
  { type: 'path', values: ['((0,0),(1,1.5))', '[(0,0),(1,1.5)]'], text: true },
  { type: 'polygon', values: ['((0,0),(1,1),(1,0))'], text: true },
  { type: 'circle', values: ['<(1,2),3.5>'], text: true },
  { type: 'pg_lsn', values: ['0/0', 'FFFFFFFF/FFFFFFFF'], text: true },
  { type: 'xid8', values: ['0', '18446744073709551615'], since: 13, text: true },
]

const TYPES = `CREATE TYPE mood AS ENUM ('plain', 'it''s', '"so, so"');
  CREATE DOMAIN positive AS bigint CHECK (VALUE > 0);
  CREATE DOMAIN short_code AS varchar(3) NOT NULL DEFAULT 'abc';
  CREATE TYPE pair AS (a int, b text)`

/** The name of a column of the table that `makeHard` makes. */
export const columnName = (index: number): string => `c${index}`

/** Rows enough for every value, NULL among them, each column in a rhythm of its own. Gives the number of rows. */
export async function makeHard(database: FreshDatabase, columns: readonly HardColumn[]): Promise<number> {
  await database.run(TYPES)
  const declared = columns.map(({ type }, index) => `${columnName(index)} ${type}`)
  await database.run(`CREATE TABLE hard (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, ${declared.join(', ')},
    twice bigint GENERATED ALWAYS AS (id * 2) STORED, updated_at timestamptz NOT NULL DEFAULT now())`)
  const rows = Math.max(...columns.map(({ values }) => values.length)) + 1
  const names = columns.map((_, index) => columnName(index))
  const sql = `INSERT INTO hard (${names.join(', ')}) VALUES (${names.map((_, index) => `$${index + 1}`).join(', ')})`
  for (let row = 0; row < rows; row++) {
    // A domain that is NOT NULL has no NULL to give.
    const values = columns.map(({ type, values }) => (type === 'short_code' ? values : [...values, null]))
    await database.client.query(
      sql,
      values.map((own) => own[row % own.length]),
    )
  }
  return rows
}
