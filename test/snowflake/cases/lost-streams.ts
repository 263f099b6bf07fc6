// How a stream is lost, and what it says then.

import { a, CONSUME, fails, S, type SnowflakeCase, TABLE, TARGET, TRACKED } from './snowflake-case.ts'

export const LOST_STREAMS: readonly SnowflakeCase[] = [
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
