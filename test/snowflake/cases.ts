// What Snowflake is known to do, as data: statements of up to two sessions, what each must answer, and on what evidence we believe it. The
// emulator passes all of it through the unmodified driver; on a real account the same table says which beliefs are wrong.

/** Where a belief comes from. `knowledge` means that nobody has shown it to us in writing: such rows are the first to doubt. */
export type Evidence = 'documentation' | 'published live result' | 'knowledge'

interface Done {
  readonly session: 'a' | 'b'
  readonly sql: string
  /** Rows as texts joined by `|`, in any order; an error by its code or a part of its text; or just that it succeeds. */
  readonly rows?: readonly string[]
  readonly error?: string | RegExp
  /** Waits for another session: it must not have ended before the step that takes its answer. */
  readonly begins?: true
}

/** The answer of the statement that session has begun. */
interface Ends {
  readonly session: 'a' | 'b'
  readonly ends: true
  readonly rows?: readonly string[]
  readonly error?: string | RegExp
}

export type Step = Done | Ends

export interface SnowflakeCase {
  readonly name: string
  readonly evidence: Evidence
  readonly steps: readonly Step[]
}

const a = (sql: string, rows?: readonly string[]): Step => ({ session: 'a', sql, ...(rows && { rows }) })
const b = (sql: string, rows?: readonly string[]): Step => ({ session: 'b', sql, ...(rows && { rows }) })
const fails = (session: 'a' | 'b', sql: string, error: string | RegExp): Step => ({ session, sql, error })
const begins = (session: 'a' | 'b', sql: string): Step => ({ session, sql, begins: true })
const ends = (session: 'a' | 'b', rows?: readonly string[]): Step => ({ session, ends: true, ...(rows && { rows }) })

const S = 'SELECT id, v, METADATA$ACTION, METADATA$ISUPDATE FROM s'
const TABLE = [a('CREATE TABLE t (id INT, v VARCHAR)'), a("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')")]
const TRACKED = [...TABLE, a('CREATE STREAM s ON TABLE t')]
const TARGET = a('CREATE TABLE target (id INT, v VARCHAR)')
const CONSUME = 'INSERT INTO target SELECT id, v FROM s'

const delta = (name: string, evidence: Evidence, changes: readonly string[], rows: readonly string[]): SnowflakeCase => ({
  name: `standard stream: ${name}`,
  evidence,
  steps: [...TRACKED, ...changes.map((sql) => a(sql)), a(S, rows)],
})

const NET_CHANGES: readonly SnowflakeCase[] = [
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

const OFFSETS: readonly SnowflakeCase[] = [
  {
    name: 'SELECT does not consume, nor within a transaction',
    evidence: 'documentation',
    steps: [
      ...TRACKED,
      a("INSERT INTO t VALUES (4, 'd')"),
      a(S, ['4|d|INSERT|FALSE']),
      a('BEGIN'),
      a(S, ['4|d|INSERT|FALSE']),
      a('COMMIT'),
      a(S, ['4|d|INSERT|FALSE']),
    ],
  },
  {
    name: 'a committed INSERT … SELECT consumes all of it, whatever it leaves out',
    evidence: 'documentation',
    steps: [
      ...TRACKED,
      TARGET,
      a("INSERT INTO t VALUES (4, 'd'), (5, 'e')"),
      a(`${CONSUME} WHERE 1 = 0`, ['0']),
      a(S, []),
      a('SELECT count(*) FROM target', ['0']),
    ],
  },
  {
    name: 'CREATE TABLE … AS SELECT consumes',
    evidence: 'documentation',
    steps: [
      ...TRACKED,
      a("INSERT INTO t VALUES (4, 'd')"),
      a('CREATE TEMPORARY TABLE taken AS SELECT id, v FROM s'),
      a('SELECT * FROM taken', ['4|d']),
      a(S, []),
    ],
  },
  {
    name: 'ROLLBACK leaves the stream where it was',
    evidence: 'documentation',
    steps: [
      ...TRACKED,
      TARGET,
      a("INSERT INTO t VALUES (4, 'd')"),
      a('BEGIN'),
      a(CONSUME, ['1']),
      a('ROLLBACK'),
      a(S, ['4|d|INSERT|FALSE']),
      a('SELECT count(*) FROM target', ['0']),
    ],
  },
  {
    name: 'a statement that fails does not consume',
    evidence: 'documentation',
    steps: [
      ...TRACKED,
      a('CREATE TABLE strict (id INT NOT NULL, v VARCHAR(1))'),
      a("INSERT INTO t VALUES (4, 'long')"),
      fails('a', 'INSERT INTO strict SELECT id, v FROM s', '100078'),
      fails('a', 'INSERT INTO strict SELECT NULL, NULL FROM s', '100072'),
      a(S, ['4|long|INSERT|FALSE']),
    ],
  },
  {
    name: 'within a transaction a stream stands still, and on commit moves to where the transaction began',
    evidence: 'documentation',
    steps: [
      ...TRACKED,
      TARGET,
      a('CREATE TABLE second (id INT)'),
      a("INSERT INTO t VALUES (4, 'd')"),
      a('BEGIN'),
      a(CONSUME, ['1']),
      b("INSERT INTO t VALUES (5, 'theirs')"),
      a("INSERT INTO t VALUES (6, 'own')"),
      a('INSERT INTO second SELECT id FROM s', ['1']),
      a(S, ['4|d|INSERT|FALSE']),
      a('COMMIT'),
      a('SELECT id FROM second', ['4']),
      a(S, ['5|theirs|INSERT|FALSE', '6|own|INSERT|FALSE']),
    ],
  },
  {
    name: 'tables are read committed: a statement sees what others committed before it',
    evidence: 'documentation',
    steps: [
      ...TABLE,
      a('BEGIN'),
      a('SELECT count(*) FROM t', ['3']),
      b("INSERT INTO t VALUES (4, 'd')"),
      a('SELECT count(*) FROM t', ['4']),
      b('BEGIN'),
      b('DELETE FROM t WHERE id = 4'),
      b('SELECT count(*) FROM t', ['3']),
      a('SELECT count(*) FROM t', ['4']),
      b('COMMIT'),
      a('SELECT count(*) FROM t', ['3']),
      a('COMMIT'),
    ],
  },
  {
    name: 'SHOW_INITIAL_ROWS: first what was there, then what has changed since',
    evidence: 'published live result',
    steps: [
      ...TABLE,
      TARGET,
      a('CREATE STREAM s ON TABLE t SHOW_INITIAL_ROWS = TRUE'),
      a("INSERT INTO t VALUES (4, 'd')"),
      a("UPDATE t SET v = 'A' WHERE id = 1"),
      a(S, ['1|a|INSERT|FALSE', '2|b|INSERT|FALSE', '3|c|INSERT|FALSE']),
      a(CONSUME, ['3']),
      a(S, ['4|d|INSERT|FALSE', '1|a|DELETE|TRUE', '1|A|INSERT|TRUE']),
      a(CONSUME, ['3']),
      a(S, []),
    ],
  },
  {
    name: 'AT (STREAM => …) begins where another stream stands, and can replace a stream in place',
    evidence: 'published live result',
    steps: [
      ...TRACKED,
      TARGET,
      a("INSERT INTO t VALUES (4, 'd')"),
      a("CREATE STREAM s2 ON TABLE t AT (STREAM => 's')"),
      a(CONSUME),
      a('SELECT id FROM s', []),
      a('SELECT id FROM s2', ['4']),
      a("CREATE OR REPLACE STREAM s2 ON TABLE t AT (STREAM => 's2')"),
      a('SELECT id FROM s2', ['4']),
      a('CREATE OR REPLACE STREAM s2 ON TABLE t'),
      a('SELECT id FROM s2', []),
    ],
  },
  {
    name: 'SYSTEM$STREAM_HAS_DATA says TRUE also where changes cancel each other out, and consuming ends that',
    evidence: 'documentation',
    steps: [
      ...TRACKED,
      TARGET,
      a("SELECT SYSTEM$STREAM_HAS_DATA('s')", ['FALSE']),
      a("INSERT INTO t VALUES (4, 'd')"),
      a("SELECT SYSTEM$STREAM_HAS_DATA('s')", ['TRUE']),
      a('DELETE FROM t WHERE id = 4'),
      a(S, []),
      a("SELECT SYSTEM$STREAM_HAS_DATA('s')", ['TRUE']),
      a(CONSUME, ['0']),
      a("SELECT SYSTEM$STREAM_HAS_DATA('s')", ['FALSE']),
    ],
  },
  {
    name: 'each of two streams has its own offset',
    evidence: 'documentation',
    steps: [
      ...TRACKED,
      TARGET,
      a('CREATE STREAM s2 ON TABLE t'),
      a("INSERT INTO t VALUES (4, 'd')"),
      a(CONSUME),
      a(S, []),
      a('SELECT id FROM s2', ['4']),
    ],
  },
  {
    name: 'DDL commits the open transaction',
    evidence: 'documentation',
    steps: [
      ...TRACKED,
      TARGET,
      a("INSERT INTO t VALUES (4, 'd')"),
      a('BEGIN'),
      a(CONSUME),
      a('CREATE TABLE other (id INT)'),
      a('ROLLBACK'),
      a(S, []),
      a('SELECT id FROM target', ['4']),
    ],
  },
]

const LOCKS: readonly SnowflakeCase[] = [
  {
    name: 'who consumes a stream that another transaction has consumed waits, and then finds nothing twice',
    evidence: 'documentation',
    steps: [
      ...TRACKED,
      TARGET,
      a("INSERT INTO t VALUES (4, 'd')"),
      a('BEGIN'),
      a(CONSUME, ['1']),
      begins('b', CONSUME),
      a('COMMIT'),
      ends('b', ['0']),
      a('SELECT id FROM target', ['4']),
    ],
  },
  {
    name: 'a transaction that began before another consumed finds nothing again, and does not move the stream back',
    evidence: 'knowledge',
    steps: [
      ...TRACKED,
      TARGET,
      b('BEGIN'),
      a("INSERT INTO t VALUES (4, 'd')"),
      a(CONSUME, ['1']),
      b(CONSUME, ['0']),
      b('COMMIT'),
      a(S, []),
    ],
  },
  {
    name: 'after a rollback the waiting consumer gets the rows',
    evidence: 'documentation',
    steps: [
      ...TRACKED,
      TARGET,
      a("INSERT INTO t VALUES (4, 'd')"),
      a('BEGIN'),
      a(CONSUME),
      begins('b', CONSUME),
      a('ROLLBACK'),
      ends('b', ['1']),
      a(S, []),
    ],
  },
  {
    name: 'UPDATE waits for an UPDATE of the same table, and then sees what was committed: compare and set holds',
    evidence: 'documentation',
    steps: [
      a('CREATE TABLE state (name VARCHAR, epoch INT)'),
      a("INSERT INTO state VALUES ('p', 1)"),
      a('BEGIN'),
      a("UPDATE state SET epoch = epoch + 1 WHERE name = 'p' AND epoch = 1", ['1|0']),
      b('BEGIN'),
      begins('b', "UPDATE state SET epoch = epoch + 1 WHERE name = 'p' AND epoch = 1"),
      a('COMMIT'),
      ends('b', ['0|0']),
      b('ROLLBACK'),
      a('SELECT epoch FROM state', ['2']),
    ],
  },
  {
    name: 'MERGE and DELETE wait for each other',
    evidence: 'documentation',
    steps: [
      ...TABLE,
      a('BEGIN'),
      a('DELETE FROM t WHERE id = 1', ['1']),
      begins(
        'b',
        "MERGE INTO t USING (SELECT 1 AS id) n ON t.id = n.id WHEN MATCHED THEN UPDATE SET v = 'x' WHEN NOT MATCHED THEN INSERT (id, v) VALUES (n.id, 'new')",
      ),
      a('COMMIT'),
      ends('b', ['1|0']),
      a('SELECT v FROM t WHERE id = 1', ['new']),
    ],
  },
  {
    name: 'INSERT waits for nobody',
    evidence: 'documentation',
    steps: [
      ...TABLE,
      a('BEGIN'),
      a('DELETE FROM t WHERE id = 1'),
      b("INSERT INTO t VALUES (4, 'd')", ['1']),
      a('COMMIT'),
      a('SELECT id FROM t', ['2', '3', '4']),
    ],
  },
  {
    name: 'who waits longer than LOCK_TIMEOUT is refused, and its transaction stays open',
    evidence: 'published live result',
    steps: [
      ...TABLE,
      a('BEGIN'),
      a('DELETE FROM t WHERE id = 1'),
      b('ALTER SESSION SET LOCK_TIMEOUT = 1'),
      b('BEGIN'),
      b("INSERT INTO t VALUES (4, 'd')"),
      fails('b', 'DELETE FROM t WHERE id = 2', /waiting for this lock is limited to/),
      b('COMMIT'),
      a('ROLLBACK'),
      a('SELECT id FROM t', ['1', '2', '3', '4']),
    ],
  },
]

const MERGES: readonly SnowflakeCase[] = [
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

const LOST_STREAMS: readonly SnowflakeCase[] = [
  {
    name: 'CREATE OR REPLACE of the table leaves its stream unreadable, not empty',
    evidence: 'documentation',
    steps: [
      ...TRACKED,
      TARGET,
      a("INSERT INTO t VALUES (4, 'd')"),
      a('CREATE OR REPLACE TABLE t (id INT, v VARCHAR)'),
      fails('a', S, '091901'),
      fails('a', CONSUME, /dropped, cannot read from stream/),
      a('SELECT count(*) FROM target', ['0']),
    ],
  },
  {
    name: 'DROP and CREATE of the table under the same name does the same',
    evidence: 'published live result',
    steps: [...TRACKED, a('DROP TABLE t'), a('CREATE TABLE t (id INT, v VARCHAR)'), fails('a', S, '091901')],
  },
  {
    name: 'a renamed table keeps its stream',
    evidence: 'documentation',
    steps: [
      ...TRACKED,
      a("INSERT INTO t VALUES (4, 'd')"),
      a('ALTER TABLE t RENAME TO renamed'),
      a("INSERT INTO renamed VALUES (5, 'e')"),
      a(S, ['4|d|INSERT|FALSE', '5|e|INSERT|FALSE']),
    ],
  },
  {
    name: 'change tracking that was off and on again loses the stream',
    evidence: 'documentation',
    steps: [
      ...TRACKED,
      a('ALTER TABLE t SET CHANGE_TRACKING = FALSE'),
      a("INSERT INTO t VALUES (4, 'd')"),
      a('ALTER TABLE t SET CHANGE_TRACKING = TRUE'),
      fails('a', S, /Change tracking is not enabled or has been missing/),
    ],
  },
  {
    name: 'INSERT_ONLY is for external tables',
    evidence: 'published live result',
    steps: [...TABLE, fails('a', 'CREATE STREAM s ON TABLE t INSERT_ONLY = TRUE', /INSERT_ONLY can only be created on external tables/)],
  },
  {
    name: 'CHANGES between two moments, and not before tracking began',
    evidence: 'documentation',
    steps: [
      ...TABLE,
      fails('a', 'SELECT id FROM t CHANGES(INFORMATION => DEFAULT) AT(OFFSET => 0)', /Change tracking is not enabled or has been missing/),
      a('ALTER TABLE t SET CHANGE_TRACKING = TRUE'),
      a('CREATE STREAM s ON TABLE t'),
      a("INSERT INTO t VALUES (4, 'd')"),
      a("UPDATE t SET v = 'A' WHERE id = 1"),
      a("SELECT id, v, METADATA$ACTION FROM t CHANGES(INFORMATION => DEFAULT) AT(STREAM => 's')", [
        '4|d|INSERT',
        '1|a|DELETE',
        '1|A|INSERT',
      ]),
      a("SELECT id FROM t CHANGES(INFORMATION => APPEND_ONLY) AT(STREAM => 's')", ['4']),
    ],
  },
]

const NAMES_AND_VALUES: readonly SnowflakeCase[] = [
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
    steps: [a('CREATE TEMPORARY TABLE own (id INT)'), fails('b', 'SELECT * FROM own', '002003')],
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
]

export const CASES: readonly SnowflakeCase[] = [...NET_CHANGES, ...OFFSETS, ...LOCKS, ...MERGES, ...LOST_STREAMS, ...NAMES_AND_VALUES]
