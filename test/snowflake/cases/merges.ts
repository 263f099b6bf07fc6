// MERGE, above all where two source rows meet one target row.

import { a, fails, S, type SnowflakeCase, TABLE, TARGET, TRACKED } from './snowflake-case.ts'

export const MERGES: readonly SnowflakeCase[] = [
  {
    name: 'MERGE: two source rows that would update one target row are refused',
    evidence: 'published live result',
    steps: [
      ...TRACKED,
      TARGET,
      a("INSERT INTO target VALUES (2, 'b')"),
      a("UPDATE t SET v = 'B' WHERE id = 2"),
      fails('a', 'MERGE INTO target g USING s ON g.id = s.id WHEN MATCHED THEN UPDATE SET v = s.v', '100090'),
      a('SELECT v FROM target', ['b']),
      a(S, ['2|b|DELETE|TRUE', '2|B|INSERT|TRUE']),
    ],
  },
  {
    name: 'MERGE: two source rows that would delete one target row are not refused',
    evidence: 'published live result',
    steps: [
      ...TABLE,
      a('MERGE INTO t USING (SELECT 2 AS id UNION ALL SELECT 2) n ON t.id = n.id WHEN MATCHED THEN DELETE', ['1']),
      a('SELECT id FROM t', ['1', '3']),
    ],
  },
  {
    name: 'MERGE: two source rows that match nothing are both inserted',
    evidence: 'published live result',
    steps: [
      ...TABLE,
      a("MERGE INTO t USING (SELECT 7 AS id UNION ALL SELECT 7) n ON t.id = n.id WHEN NOT MATCHED THEN INSERT (id, v) VALUES (n.id, 'x')", [
        '2',
      ]),
      a('SELECT count(*) FROM t WHERE id = 7', ['2']),
    ],
  },
  {
    name: 'MERGE: one row per key with the new image first applies inserts, updates, deletes and changed keys',
    evidence: 'documentation',
    steps: [
      ...TRACKED,
      TARGET,
      a('INSERT INTO target SELECT * FROM t'),
      a("UPDATE t SET v = 'A' WHERE id = 1"),
      a('UPDATE t SET id = 9 WHERE id = 2'),
      a('DELETE FROM t WHERE id = 3'),
      a("INSERT INTO t VALUES (4, 'd')"),
      a(
        `MERGE INTO target g USING (
        SELECT id, v, METADATA$ACTION AS act FROM s
        QUALIFY ROW_NUMBER() OVER (PARTITION BY id ORDER BY IFF(METADATA$ACTION = 'INSERT', 0, 1)) = 1
      ) c ON g.id = c.id
      WHEN MATCHED AND c.act = 'DELETE' THEN DELETE WHEN MATCHED THEN UPDATE SET v = c.v
      WHEN NOT MATCHED AND c.act = 'INSERT' THEN INSERT (id, v) VALUES (c.id, c.v)`,
        ['2|1|2'],
      ),
      a('SELECT * FROM target', ['1|A', '4|d', '9|b']),
      a(S, []),
    ],
  },
  {
    name: 'MERGE: NULL keys never match by =',
    evidence: 'documentation',
    steps: [
      a('CREATE TABLE n (id INT)'),
      a('INSERT INTO n VALUES (NULL)'),
      a('MERGE INTO n USING (SELECT NULL::INT AS id) s ON n.id = s.id WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)', ['1']),
      a('MERGE INTO n USING (SELECT NULL::INT AS id) s ON EQUAL_NULL(n.id, s.id) WHEN MATCHED THEN DELETE', ['2']),
    ],
  },
]
