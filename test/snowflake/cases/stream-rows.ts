// Which rows a stream shows.

import { a, type Evidence, S, type SnowflakeCase, TABLE, TRACKED } from './snowflake-case.ts'

const delta = (name: string, evidence: Evidence, changes: readonly string[], rows: readonly string[]): SnowflakeCase => ({
  name: `standard stream: ${name}`,
  evidence,
  steps: [...TRACKED, ...changes.map((sql) => a(sql)), a(S, rows)],
})

export const NET_CHANGES: readonly SnowflakeCase[] = [
  delta('nothing', 'documentation', [], []),
  delta('insert', 'published live result', ["INSERT INTO t VALUES (4, 'd')"], ['4|d|INSERT|FALSE']),
  delta(
    'insert and update',
    'published live result',
    ["INSERT INTO t VALUES (4, 'd')", "UPDATE t SET v = 'e' WHERE id = 4"],
    ['4|e|INSERT|FALSE'],
  ),
  delta('insert and delete', 'published live result', ["INSERT INTO t VALUES (4, 'd')", 'DELETE FROM t WHERE id = 4'], []),
  delta('update', 'published live result', ["UPDATE t SET v = 'B' WHERE id = 2"], ['2|b|DELETE|TRUE', '2|B|INSERT|TRUE']),
  delta(
    'many updates',
    'published live result',
    ["UPDATE t SET v = 'B' WHERE id = 2", "UPDATE t SET v = 'C' WHERE id = 2"],
    ['2|b|DELETE|TRUE', '2|C|INSERT|TRUE'],
  ),
  delta('update and back', 'published live result', ["UPDATE t SET v = 'B' WHERE id = 2", "UPDATE t SET v = 'b' WHERE id = 2"], []),
  delta(
    'update and delete',
    'published live result',
    ["UPDATE t SET v = 'B' WHERE id = 2", 'DELETE FROM t WHERE id = 2'],
    ['2|b|DELETE|FALSE'],
  ),
  delta('delete', 'published live result', ['DELETE FROM t WHERE id = 2'], ['2|b|DELETE|FALSE']),
  delta(
    'delete and insert of the same row',
    'published live result',
    ['DELETE FROM t WHERE id = 2', "INSERT INTO t VALUES (2, 'b')"],
    ['2|b|DELETE|FALSE', '2|b|INSERT|FALSE'],
  ),
  delta('update of the key', 'documentation', ['UPDATE t SET id = 9 WHERE id = 2'], ['2|b|DELETE|TRUE', '9|b|INSERT|TRUE']),
  delta(
    'INSERT OVERWRITE',
    'knowledge',
    ['INSERT OVERWRITE INTO t SELECT id, v FROM t WHERE id < 3'],
    ['1|a|DELETE|FALSE', '2|b|DELETE|FALSE', '3|c|DELETE|FALSE', '1|a|INSERT|FALSE', '2|b|INSERT|FALSE'],
  ),
  delta('TRUNCATE', 'documentation', ['TRUNCATE TABLE t'], ['1|a|DELETE|FALSE', '2|b|DELETE|FALSE', '3|c|DELETE|FALSE']),
  delta(
    'MERGE',
    'knowledge',
    [
      "MERGE INTO t USING (SELECT 2 AS id, 'B' AS v UNION ALL SELECT 4, 'd') n ON t.id = n.id WHEN MATCHED THEN UPDATE SET v = n.v WHEN NOT MATCHED THEN INSERT (id, v) VALUES (n.id, n.v)",
    ],
    ['2|b|DELETE|TRUE', '2|B|INSERT|TRUE', '4|d|INSERT|FALSE'],
  ),
  delta(
    'all within one transaction',
    'documentation',
    ['BEGIN', "INSERT INTO t VALUES (4, 'd')", "UPDATE t SET v = 'D' WHERE id = 4", 'DELETE FROM t WHERE id = 1', 'COMMIT'],
    ['4|D|INSERT|FALSE', '1|a|DELETE|FALSE'],
  ),
  delta('what was rolled back', 'documentation', ['BEGIN', "INSERT INTO t VALUES (4, 'd')", 'DELETE FROM t', 'ROLLBACK'], []),
  {
    name: 'standard stream: both halves of an update have one row id, rows that were deleted and inserted two',
    evidence: 'published live result',
    steps: [
      ...TRACKED,
      a("UPDATE t SET v = 'B' WHERE id = 2"),
      a('DELETE FROM t WHERE id = 3'),
      a("INSERT INTO t VALUES (3, 'c')"),
      a('SELECT id, count(DISTINCT METADATA$ROW_ID) FROM s GROUP BY id', ['2|1', '3|2']),
    ],
  },
  {
    name: 'append-only stream: rows as they were inserted',
    evidence: 'published live result',
    steps: [
      ...TABLE,
      a('CREATE STREAM s ON TABLE t APPEND_ONLY = TRUE'),
      a("INSERT INTO t VALUES (4, 'd'), (5, 'e')"),
      a("UPDATE t SET v = 'D' WHERE id IN (1, 4)"),
      a('DELETE FROM t WHERE id = 5'),
      a(S, ['4|d|INSERT|FALSE', '5|e|INSERT|FALSE']),
    ],
  },
  {
    name: 'columns of a stream follow those of the table',
    evidence: 'documentation',
    steps: [
      ...TRACKED,
      a('ALTER TABLE t ADD COLUMN w INT'),
      a("INSERT INTO t VALUES (4, 'd', 7)"),
      a('SELECT * EXCLUDE METADATA$ROW_ID FROM s', ['4|d|7|INSERT|FALSE']),
    ],
  },
]
