// Names, texts, numbers and the like, as loading meets them.

import { a, b, fails, type SnowflakeCase, TABLE } from './snowflake-case.ts'

export const NAMES_AND_VALUES: readonly SnowflakeCase[] = [
  {
    name: 'unquoted names are upper case',
    evidence: 'documentation',
    steps: [
      a('CREATE TABLE "lower" ("id" INT, ID INT)'),
      a('INSERT INTO "lower" VALUES (1, 2)'),
      a('SELECT "id", id FROM "lower"', ['1|2']),
      fails('a', 'SELECT 1 FROM lower', '002003'),
    ],
  },
  {
    name: 'keys are not enforced',
    evidence: 'documentation',
    steps: [
      a('CREATE TABLE k (id INT PRIMARY KEY)'),
      a('INSERT INTO k VALUES (1), (1)'),
      a('SELECT count(*) FROM k', ['2']),
      fails('a', 'INSERT INTO k VALUES (NULL)', '100072'),
    ],
  },
  {
    name: 'a text that is too long is refused, not cut',
    evidence: 'documentation',
    steps: [
      a('CREATE TABLE short (v VARCHAR(2))'),
      fails('a', "INSERT INTO short VALUES ('abc')", '100078'),
      a("SELECT 'abc'::VARCHAR(2)", ['ab']),
    ],
  },
  { name: 'the empty text is not NULL', evidence: 'documentation', steps: [a("SELECT '' IS NULL, LENGTH('')", ['FALSE|0'])] },
  {
    name: 'backslashes are escapes in texts',
    evidence: 'documentation',
    steps: [a("SELECT 'a\\\\b', 'it\\'s', 'x\\ty', $$a\\b$$", ["a\\b|it's|x\ty|a\\b"])],
  },
  {
    name: '38 digits stay exact',
    evidence: 'documentation',
    steps: [
      a('CREATE TABLE wide (n NUMBER(38,0))'),
      a('INSERT INTO wide VALUES (12345678901234567890123456789012345678)'),
      a('SELECT n + 1, n::VARCHAR FROM wide', ['12345678901234567890123456789012345679|12345678901234567890123456789012345678']),
    ],
  },
  {
    name: 'IFF, NVL, EQUAL_NULL, GREATEST with NULL',
    evidence: 'documentation',
    steps: [a('SELECT IFF(NULL, 1, 2), NVL(NULL, 3), EQUAL_NULL(NULL, NULL), GREATEST(1, NULL)', ['2|3|TRUE|null'])],
  },
  {
    name: 'PARSE_JSON is refused in VALUES',
    evidence: 'knowledge',
    steps: [
      a('CREATE TABLE j (v VARIANT)'),
      fails('a', "INSERT INTO j VALUES (PARSE_JSON('1'))", /Invalid expression/),
      a('INSERT INTO j SELECT PARSE_JSON(\'{"a": 1}\')'),
      a('SELECT v FROM j', ['{"a":1}']),
    ],
  },
  {
    name: 'an empty transaction and a second BEGIN change nothing',
    evidence: 'documentation',
    steps: [
      ...TABLE,
      a('BEGIN'),
      a('BEGIN'),
      a('DELETE FROM t'),
      a('ROLLBACK'),
      a('ROLLBACK'),
      a('COMMIT'),
      a('SELECT count(*) FROM t', ['3']),
    ],
  },
  {
    name: 'a statement that fails does not end its transaction',
    evidence: 'documentation',
    steps: [
      ...TABLE,
      a('BEGIN'),
      a("INSERT INTO t VALUES (4, 'd')"),
      fails('a', "INSERT INTO t VALUES ('x', 'y')", /not recognized/),
      a('COMMIT'),
      a('SELECT count(*) FROM t', ['4']),
    ],
  },
  {
    name: 'temporary tables are seen by their session alone',
    evidence: 'documentation',
    steps: [
      a('CREATE TEMPORARY TABLE own (id INT)'),
      fails('b', 'SELECT * FROM own', '002003'),
      b("SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_NAME = 'OWN'", []),
    ],
  },
  {
    name: 'HASH_AGG does not depend on the order, and tells duplicates',
    evidence: 'documentation',
    steps: [
      ...TABLE,
      a(
        'SELECT (SELECT HASH_AGG(id, v) FROM t) = (SELECT HASH_AGG(id, v) FROM (SELECT * FROM t ORDER BY id DESC)), (SELECT HASH_AGG(id) FROM t) = (SELECT HASH_AGG(id) FROM (SELECT id FROM t UNION ALL SELECT id FROM t))',
        ['TRUE|FALSE'],
      ),
    ],
  },
  {
    name: 'CONVERT_TIMEZONE knows summer time',
    evidence: 'documentation',
    steps: [
      a("SELECT CONVERT_TIMEZONE('UTC', 'Europe/Berlin', '2024-07-01 12:00:00'::TIMESTAMP_NTZ)::VARCHAR", ['2024-07-01 14:00:00.000']),
      a("SELECT CONVERT_TIMEZONE('Europe/Berlin', 'UTC', '2024-01-01 12:00:00'::TIMESTAMP_NTZ)::VARCHAR", ['2024-01-01 11:00:00.000']),
    ],
  },
  {
    name: 'aggregates are cast like other values',
    evidence: 'documentation',
    steps: [
      a('CREATE TABLE agg (id NUMBER(38,0), at TIMESTAMP_NTZ, day DATE)'),
      a("INSERT INTO agg VALUES (1, '2024-01-02 03:04:05', '2024-01-02'), (NULL, NULL, NULL)"),
      a('SELECT TO_VARCHAR(MAX(id)), MAX(at)::DATE, TO_VARCHAR(MAX(day)), MAX(at)::TIMESTAMP_LTZ IS NULL FROM agg', [
        '1|2024-01-02|2024-01-02|FALSE',
      ]),
    ],
  },
  {
    name: 'a number that is all fraction has a zero before its point',
    evidence: 'documentation',
    steps: [
      a("SELECT 0.00099::NUMBER(5,5), TO_VARCHAR(-0.5::NUMBER(2,2)), TO_VARCHAR('12:34:56.789'::TIME, 'HH24:MI:SS.FF6')", [
        '0.00099|-0.50|12:34:56.789000',
      ]),
    ],
  },
  ...[
    ["'infinity'::DATE", '100040'],
    ["'4713-01-01 BC'::DATE", '100040'],
    ["'2023-02-29'::DATE", '100040'],
    ["'infinity'::TIMESTAMP_NTZ", '100035'],
    ["'5874897-12-31 00:00:00'::TIMESTAMP_NTZ", '100035'],
    ["'24:00:00'::TIME", '100108'],
    ["'NaN'::NUMBER(10,2)", '100038'],
    ["'maybe'::BOOLEAN", '100037'],
    ["TO_BINARY('0g')::BINARY", '100115'],
  ].map(([value, code]): SnowflakeCase => {
    const attempt = value!.replace(/^(.*)::(.*)$/, 'TRY_CAST($1 AS $2)')
    const steps = [fails('a', `SELECT ${value}`, code!), ...(value!.startsWith("'") ? [a(`SELECT ${attempt}`, ['null'])] : [])]
    return { name: `${value} is refused`, evidence: 'knowledge', steps }
  }),
]
