-- Incremental loads that can be run again: the same in plain SQL, to read and to paste.
--
-- A load is idempotent when running it again changes nothing. It takes four habits, whatever the engine:
--
--   1. Fix the bound BEFORE reading. What a load reads is [watermark, bound): both ends are known before the first row, so a row
--      that is written meanwhile belongs to the next load, not to neither. Never store max(updated_at) of what happened to arrive.
--   2. Write so that a repeated row is no second row: by key, or by replacing a whole partition.
--   3. Write rows and watermark in ONE transaction. If either could exist without the other, a crash in between would lose or double.
--   4. Move the watermark by compare-and-set: only if it is still where this load started. Two loads at once can't both win.
--
-- One section per engine; take yours, from its `-- === … ===` line to the next. Each runs top to bottom, makes its own sample tables
-- in a schema of its own, `merge_example`, and can be run as often as you like. To see more than "nothing changed": run it, add or
-- change a row of shop_orders with a current updated_at (in UTC), wait three seconds, run it again. `DROP SCHEMA merge_example CASCADE`
-- removes it all. In the samples the source lies beside the target; in real life steps 1 and 2 run at the source.
--
-- If a section stops with an error, `ROLLBACK` first: nothing of the interrupted load was written.

-- === PostgreSQL ===
-- Versions 12 to 18. MERGE exists since 15 and is left out by itself before.

CREATE SCHEMA IF NOT EXISTS merge_example;
SET search_path TO merge_example;

-- How far each pipeline has delivered. All times in it are UTC.
CREATE TABLE IF NOT EXISTS pipeline_watermarks (
  pipeline_name     VARCHAR(100) PRIMARY KEY,
  last_watermark    TIMESTAMP,
  last_run_at       TIMESTAMP,
  records_processed BIGINT
);

-- The source. updated_at is NOT NULL: a row without it would be in no slice and would never load.
CREATE TABLE IF NOT EXISTS shop_orders (
  order_id   INTEGER PRIMARY KEY,
  customer   TEXT NOT NULL,
  amount     NUMERIC(10, 2) NOT NULL,
  order_date DATE NOT NULL,
  updated_at TIMESTAMP NOT NULL
);
-- Only into an empty table, so that what you change here stays changed.
INSERT INTO shop_orders
SELECT * FROM (VALUES
  (1, 'Ada',     10.00, DATE '2024-03-01', TIMESTAMP '2024-03-01 09:00:00'),
  (2, 'Grace',   25.50, DATE '2024-03-01', TIMESTAMP '2024-03-01 10:30:00'),
  (3, 'Edsger',   7.25, DATE '2024-03-02', TIMESTAMP '2024-03-02 08:15:00'),
  (4, 'Barbara', 99.99, DATE '2024-03-02', TIMESTAMP '2024-03-03 17:45:00')
) AS sample WHERE NOT EXISTS (SELECT 1 FROM shop_orders);

-- The targets, one for each way to write. Each has a key: without one, "the same row again" means nothing.
CREATE TABLE IF NOT EXISTS orders_upserted (LIKE shop_orders INCLUDING ALL);
CREATE TABLE IF NOT EXISTS orders_merged (LIKE shop_orders INCLUDING ALL);
CREATE TABLE IF NOT EXISTS orders_rewritten (LIKE shop_orders INCLUDING ALL);
CREATE TABLE IF NOT EXISTS orders_by_day (LIKE shop_orders INCLUDING ALL);

-- The row exists before the first load, so that moving it is always an UPDATE: two first loads can't both insert it.
INSERT INTO pipeline_watermarks (pipeline_name) VALUES ('example_orders'), ('example_customers') ON CONFLICT DO NOTHING;

-- ---- A. Load by watermark -----------------------------------------------------------------------------------------------

-- READ COMMITTED on purpose, whatever your default is: each statement sees what was committed before that statement began, so the
-- rows are read in a younger snapshot than the bound. The other way round a row committed in between would be lost.
BEGIN ISOLATION LEVEL READ COMMITTED;

-- The bound below looks at other sessions. A role that may not see them would get a bound that is too late, silently.
DO $$
BEGIN
  IF EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query = '<insufficient privilege>') THEN
    RAISE EXCEPTION 'This role can''t see other sessions. GRANT pg_read_all_stats TO %', quote_ident(current_user);
  END IF;
END
$$;

-- Step 1: fix the slice. now() is not good enough as a bound: updated_at = now() is the time when the writing transaction BEGAN, and
-- one that began a minute ago may commit a minute from now, with a time before our bound. So the bound is the beginning of the oldest
-- transaction that is still open, and two seconds of margin for those that are just beginning.
CREATE TEMP TABLE slice ON COMMIT DROP AS
SELECT last_watermark AS after, (oldest.began - interval '2 seconds') AT TIME ZONE 'UTC' AS bound
FROM pipeline_watermarks,
  (SELECT least(now(), min(began)) AS began
   FROM (SELECT xact_start AS began FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
         UNION ALL
         SELECT prepared FROM pg_prepared_xacts WHERE database = current_database()) AS open_transactions) AS oldest
WHERE pipeline_name = 'example_orders';

-- Step 2: read the slice. Closed at the start and open at the end, so that neighbouring slices neither overlap nor leave a gap.
CREATE TEMP TABLE staged ON COMMIT DROP AS
SELECT shop_orders.*
FROM shop_orders, slice
WHERE (slice.after IS NULL OR updated_at >= slice.after) AND updated_at < slice.bound;

-- Step 3: move the watermark, if it is still where this load found it. First, because it locks the row: a rival waits here and then
-- finds it moved, instead of doing the same work. With nothing staged nothing is touched, not even last_run_at.
DO $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM staged) THEN RETURN; END IF;
  UPDATE pipeline_watermarks
  SET last_watermark = slice.bound, last_run_at = now() AT TIME ZONE 'UTC', records_processed = (SELECT count(*) FROM staged)
  FROM slice
  WHERE pipeline_name = 'example_orders' AND last_watermark IS NOT DISTINCT FROM slice.after;
  -- An UPDATE of no row is no error by itself, and the transaction would commit rows without their watermark.
  IF NOT FOUND THEN RAISE EXCEPTION 'Another run moved example_orders first. Nothing was written; run again.'; END IF;
END
$$;

-- Step 4: write the rows. Three ways; a pipeline needs one.

-- 4a. INSERT … ON CONFLICT: one statement, safe against other writers of the same key. The WHERE leaves equal rows alone: without it
-- each repetition writes every row anew, with its WAL, its index entries and its triggers.
INSERT INTO orders_upserted AS target
SELECT * FROM staged
ON CONFLICT (order_id) DO UPDATE
SET customer = excluded.customer, amount = excluded.amount, order_date = excluded.order_date, updated_at = excluded.updated_at
WHERE (target.customer, target.amount, target.order_date, target.updated_at)
  IS DISTINCT FROM (excluded.customer, excluded.amount, excluded.order_date, excluded.updated_at);

-- 4b. MERGE: the same in standard SQL. Unlike 4a it fails with a unique violation if someone else inserts the key meanwhile. Both
-- refuse two staged rows for one key. IS DISTINCT FROM rather than <>: with a NULL on either side <> is never true.
-- It stands in DO and EXECUTE only because versions before 15 would refuse to parse it.
DO $$
BEGIN
  IF current_setting('server_version_num')::int >= 150000 THEN
    EXECUTE $merge$
      MERGE INTO orders_merged AS target
      USING staged ON target.order_id = staged.order_id
      WHEN MATCHED AND (target.customer, target.amount, target.order_date, target.updated_at)
          IS DISTINCT FROM (staged.customer, staged.amount, staged.order_date, staged.updated_at) THEN
        UPDATE SET customer = staged.customer, amount = staged.amount, order_date = staged.order_date, updated_at = staged.updated_at
      WHEN NOT MATCHED THEN
        INSERT (order_id, customer, amount, order_date, updated_at)
        VALUES (staged.order_id, staged.customer, staged.amount, staged.order_date, staged.updated_at)
    $merge$;
  END IF;
END
$$;

-- 4c. DELETE + INSERT: needs no unique index and works on every engine. It writes every staged row anew, equal or not.
DELETE FROM orders_rewritten AS target USING staged WHERE target.order_id = staged.order_id;
INSERT INTO orders_rewritten SELECT * FROM staged;

COMMIT;

-- ---- B. Replace a partition ---------------------------------------------------------------------------------------------

-- A day is replaced as a whole, so rows that are gone at the source go here too. Readers see the old day or the new one, never a
-- mixture and never an empty day, because both statements are one transaction.
BEGIN ISOLATION LEVEL READ COMMITTED;

-- Two replacements of the same day at once would both delete the old rows and both insert. The second waits here for the first, and
-- BEFORE it reads: what it read while waiting could be older than what the first has written.
SELECT pg_advisory_xact_lock(hashtext('orders_by_day 2024-03-02'));

-- Read once: the comparison and both statements below must speak of the same rows, and the source may change between them.
CREATE TEMP TABLE staged ON COMMIT DROP AS SELECT * FROM shop_orders WHERE order_date = DATE '2024-03-02';

-- EXCEPT ALL in both directions is empty when both sides hold the same rows equally often. Then there is nothing to replace.
CREATE TEMP TABLE differs ON COMMIT DROP AS
(SELECT * FROM staged EXCEPT ALL SELECT * FROM orders_by_day WHERE order_date = DATE '2024-03-02')
UNION ALL
(SELECT * FROM orders_by_day WHERE order_date = DATE '2024-03-02' EXCEPT ALL SELECT * FROM staged);

DELETE FROM orders_by_day WHERE order_date = DATE '2024-03-02' AND EXISTS (SELECT 1 FROM differs);
INSERT INTO orders_by_day SELECT * FROM staged WHERE EXISTS (SELECT 1 FROM differs);

COMMIT;

-- ---- C. Apply changes, with deletes -------------------------------------------------------------------------------------

-- Changes as a log delivers them: in the order of their commits; all changes of one transaction share its commit time; `ordinal` is
-- the order over all. A changed key arrives as a delete of the old and an insert of the new one.
CREATE TABLE IF NOT EXISTS customer_changes (
  ordinal      BIGINT PRIMARY KEY,
  committed_at TIMESTAMP NOT NULL,
  op           CHAR(1) NOT NULL CHECK (op IN ('I', 'U', 'D')),
  customer_id  INTEGER NOT NULL,
  name         TEXT,
  city         TEXT
);
INSERT INTO customer_changes
SELECT * FROM (VALUES
  (1, TIMESTAMP '2024-03-01 09:00:00', 'I', 1, 'Ada', 'London'),
  (2, TIMESTAMP '2024-03-01 09:00:00', 'I', 2, 'Grace', 'New York'),
  (3, TIMESTAMP '2024-03-01 09:05:00', 'U', 1, 'Ada', 'Ockham'),
  (4, TIMESTAMP '2024-03-01 09:10:00', 'D', 2, NULL, NULL),
  (5, TIMESTAMP '2024-03-01 09:15:00', 'I', 3, 'Edsger', 'Rotterdam'),
  (6, TIMESTAMP '2024-03-01 09:20:00', 'D', 3, NULL, NULL),
  (7, TIMESTAMP '2024-03-01 09:25:00', 'I', 3, 'Edsger', 'Austin'),
  (8, TIMESTAMP '2024-03-01 09:30:00', 'I', 4, 'Barbara', NULL),
  (9, TIMESTAMP '2024-03-01 09:35:00', 'D', 4, NULL, NULL),
  (10, TIMESTAMP '2024-03-01 09:35:00', 'I', 5, 'Barbara', NULL)
) AS sample WHERE NOT EXISTS (SELECT 1 FROM customer_changes);

CREATE TABLE IF NOT EXISTS customers (
  customer_id INTEGER PRIMARY KEY,
  name        TEXT,
  city        TEXT
);

BEGIN ISOLATION LEVEL READ COMMITTED;

-- A log only grows at its end, so its last commit is a safe bound; and being a commit, it cuts no transaction in two.
CREATE TEMP TABLE slice ON COMMIT DROP AS
SELECT last_watermark AS after, (SELECT max(committed_at) FROM customer_changes) AS bound
FROM pipeline_watermarks WHERE pipeline_name = 'example_customers';

-- The newest change of each key wins; the older ones are history. Applying all of them row by row would end the same, only slower.
CREATE TEMP TABLE staged ON COMMIT DROP AS
SELECT DISTINCT ON (customer_id) customer_changes.*
FROM customer_changes, slice
WHERE (slice.after IS NULL OR committed_at > slice.after) AND committed_at <= slice.bound
ORDER BY customer_id, ordinal DESC;

DO $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM staged) THEN RETURN; END IF;
  UPDATE pipeline_watermarks
  SET last_watermark = slice.bound, last_run_at = now() AT TIME ZONE 'UTC', records_processed = (SELECT count(*) FROM staged)
  FROM slice
  WHERE pipeline_name = 'example_customers' AND last_watermark IS NOT DISTINCT FROM slice.after;
  IF NOT FOUND THEN RAISE EXCEPTION 'Another run moved example_customers first. Nothing was written; run again.'; END IF;
END
$$;

-- A delete of a row that is not there is fine: it was inserted and deleted within one slice, or this is a repetition.
DELETE FROM customers AS target USING staged WHERE staged.op = 'D' AND target.customer_id = staged.customer_id;

-- Insert and update are treated alike: on a repetition the "insert" finds its row there already.
INSERT INTO customers AS target
SELECT customer_id, name, city FROM staged WHERE op <> 'D'
ON CONFLICT (customer_id) DO UPDATE
SET name = excluded.name, city = excluded.city
WHERE (target.name, target.city) IS DISTINCT FROM (excluded.name, excluded.city);

COMMIT;

SELECT pipeline_name, last_watermark, last_run_at, records_processed FROM pipeline_watermarks ORDER BY pipeline_name;

-- === DuckDB ===
-- Version 1.4 or newer, for MERGE. What differs: one process writes at a time, so that rivals are other connections of that process;
-- there are no DO blocks, so error() in a SELECT ends the transaction; temp tables outlive their transaction and are replaced.

CREATE SCHEMA IF NOT EXISTS merge_example;
USE merge_example;

CREATE TABLE IF NOT EXISTS pipeline_watermarks (
  pipeline_name     VARCHAR(100) PRIMARY KEY,
  last_watermark    TIMESTAMP,
  last_run_at       TIMESTAMP,
  records_processed BIGINT
);

CREATE TABLE IF NOT EXISTS shop_orders (
  order_id   INTEGER PRIMARY KEY,
  customer   TEXT NOT NULL,
  amount     DECIMAL(10, 2) NOT NULL,
  order_date DATE NOT NULL,
  updated_at TIMESTAMP NOT NULL
);
-- Only into an empty table, so that what you change here stays changed.
INSERT INTO shop_orders
SELECT * FROM (VALUES
  (1, 'Ada',     10.00, DATE '2024-03-01', TIMESTAMP '2024-03-01 09:00:00'),
  (2, 'Grace',   25.50, DATE '2024-03-01', TIMESTAMP '2024-03-01 10:30:00'),
  (3, 'Edsger',   7.25, DATE '2024-03-02', TIMESTAMP '2024-03-02 08:15:00'),
  (4, 'Barbara', 99.99, DATE '2024-03-02', TIMESTAMP '2024-03-03 17:45:00')
) AS sample WHERE NOT EXISTS (SELECT 1 FROM shop_orders);

CREATE TABLE IF NOT EXISTS orders_upserted
  (order_id INTEGER PRIMARY KEY, customer TEXT, amount DECIMAL(10, 2), order_date DATE, updated_at TIMESTAMP);
CREATE TABLE IF NOT EXISTS orders_merged
  (order_id INTEGER, customer TEXT, amount DECIMAL(10, 2), order_date DATE, updated_at TIMESTAMP);
CREATE TABLE IF NOT EXISTS orders_rewritten
  (order_id INTEGER, customer TEXT, amount DECIMAL(10, 2), order_date DATE, updated_at TIMESTAMP);
CREATE TABLE IF NOT EXISTS orders_by_day
  (order_id INTEGER, customer TEXT, amount DECIMAL(10, 2), order_date DATE, updated_at TIMESTAMP);

INSERT INTO pipeline_watermarks (pipeline_name) VALUES ('example_orders'), ('example_customers') ON CONFLICT DO NOTHING;

-- ---- A. Load by watermark -----------------------------------------------------------------------------------------------

BEGIN;

-- Step 1: fix the slice. The margin is for clocks and for transactions of the source that are still open. Where the source is another
-- database, ask IT for the bound, as the PostgreSQL section does: this machine's clock knows nothing of its transactions.
CREATE OR REPLACE TEMP TABLE slice AS
SELECT last_watermark AS after, (now() AT TIME ZONE 'UTC') - INTERVAL 2 SECONDS AS bound
FROM pipeline_watermarks WHERE pipeline_name = 'example_orders';

-- Step 2: read the slice.
CREATE OR REPLACE TEMP TABLE staged AS
SELECT shop_orders.*
FROM shop_orders, slice
WHERE (slice.after IS NULL OR updated_at >= slice.after) AND updated_at < slice.bound;

-- Step 3: move the watermark if it is still where this load found it. One connection that changed the row since our transaction began
-- makes our UPDATE fail with a conflict; error() catches what happened before that.
SELECT CASE WHEN last_watermark IS DISTINCT FROM slice.after
  THEN error('Another run moved example_orders first. Nothing was written; run again.') END AS compared
FROM pipeline_watermarks, slice WHERE pipeline_name = 'example_orders';

UPDATE pipeline_watermarks
SET last_watermark = slice.bound, last_run_at = now() AT TIME ZONE 'UTC', records_processed = (SELECT count(*) FROM staged)
FROM slice
WHERE pipeline_name = 'example_orders' AND EXISTS (SELECT 1 FROM staged);

-- Step 4: write the rows. Three ways; a pipeline needs one.

-- 4a. INSERT … ON CONFLICT needs a primary key on the target, whose index makes large loads slower.
INSERT INTO orders_upserted
SELECT * FROM staged
ON CONFLICT (order_id) DO UPDATE
SET customer = excluded.customer, amount = excluded.amount, order_date = excluded.order_date, updated_at = excluded.updated_at
WHERE (orders_upserted.customer, orders_upserted.amount, orders_upserted.order_date, orders_upserted.updated_at)
  IS DISTINCT FROM (excluded.customer, excluded.amount, excluded.order_date, excluded.updated_at);

-- 4b. MERGE needs no index. It also doesn't notice two staged rows of one new key: make sure that `staged` holds a key once.
MERGE INTO orders_merged AS target
USING staged ON target.order_id = staged.order_id
WHEN MATCHED AND (target.customer, target.amount, target.order_date, target.updated_at)
    IS DISTINCT FROM (staged.customer, staged.amount, staged.order_date, staged.updated_at) THEN
  UPDATE SET customer = staged.customer, amount = staged.amount, order_date = staged.order_date, updated_at = staged.updated_at
WHEN NOT MATCHED THEN
  INSERT (order_id, customer, amount, order_date, updated_at)
  VALUES (staged.order_id, staged.customer, staged.amount, staged.order_date, staged.updated_at);

-- 4c. DELETE + INSERT. The target has no primary key on purpose: an index would still hold the deleted keys until the commit.
DELETE FROM orders_rewritten WHERE order_id IN (SELECT order_id FROM staged);
INSERT INTO orders_rewritten SELECT * FROM staged;

COMMIT;

-- ---- B. Replace a partition ---------------------------------------------------------------------------------------------

BEGIN;

CREATE OR REPLACE TEMP TABLE staged AS SELECT * FROM shop_orders WHERE order_date = DATE '2024-03-02';

-- Empty when both sides hold the same rows equally often; then there is nothing to replace.
CREATE OR REPLACE TEMP TABLE differs AS
(SELECT * FROM staged EXCEPT ALL SELECT * FROM orders_by_day WHERE order_date = DATE '2024-03-02')
UNION ALL
(SELECT * FROM orders_by_day WHERE order_date = DATE '2024-03-02' EXCEPT ALL SELECT * FROM staged);

DELETE FROM orders_by_day WHERE order_date = DATE '2024-03-02' AND EXISTS (SELECT 1 FROM differs);
INSERT INTO orders_by_day SELECT * FROM staged WHERE EXISTS (SELECT 1 FROM differs);

COMMIT;

-- ---- C. Apply changes, with deletes -------------------------------------------------------------------------------------

CREATE TABLE IF NOT EXISTS customer_changes (
  ordinal      BIGINT PRIMARY KEY,
  committed_at TIMESTAMP NOT NULL,
  op           TEXT NOT NULL CHECK (op IN ('I', 'U', 'D')),
  customer_id  INTEGER NOT NULL,
  name         TEXT,
  city         TEXT
);
INSERT INTO customer_changes
SELECT * FROM (VALUES
  (1, TIMESTAMP '2024-03-01 09:00:00', 'I', 1, 'Ada', 'London'),
  (2, TIMESTAMP '2024-03-01 09:00:00', 'I', 2, 'Grace', 'New York'),
  (3, TIMESTAMP '2024-03-01 09:05:00', 'U', 1, 'Ada', 'Ockham'),
  (4, TIMESTAMP '2024-03-01 09:10:00', 'D', 2, NULL, NULL),
  (5, TIMESTAMP '2024-03-01 09:15:00', 'I', 3, 'Edsger', 'Rotterdam'),
  (6, TIMESTAMP '2024-03-01 09:20:00', 'D', 3, NULL, NULL),
  (7, TIMESTAMP '2024-03-01 09:25:00', 'I', 3, 'Edsger', 'Austin'),
  (8, TIMESTAMP '2024-03-01 09:30:00', 'I', 4, 'Barbara', NULL),
  (9, TIMESTAMP '2024-03-01 09:35:00', 'D', 4, NULL, NULL),
  (10, TIMESTAMP '2024-03-01 09:35:00', 'I', 5, 'Barbara', NULL)
) AS sample WHERE NOT EXISTS (SELECT 1 FROM customer_changes);

CREATE TABLE IF NOT EXISTS customers (customer_id INTEGER, name TEXT, city TEXT);

BEGIN;

CREATE OR REPLACE TEMP TABLE slice AS
SELECT last_watermark AS after, (SELECT max(committed_at) FROM customer_changes) AS bound
FROM pipeline_watermarks WHERE pipeline_name = 'example_customers';

-- The newest change of each key wins.
CREATE OR REPLACE TEMP TABLE staged AS
SELECT customer_changes.*
FROM customer_changes, slice
WHERE (slice.after IS NULL OR committed_at > slice.after) AND committed_at <= slice.bound
QUALIFY row_number() OVER (PARTITION BY customer_id ORDER BY ordinal DESC) = 1;

SELECT CASE WHEN last_watermark IS DISTINCT FROM slice.after
  THEN error('Another run moved example_customers first. Nothing was written; run again.') END AS compared
FROM pipeline_watermarks, slice WHERE pipeline_name = 'example_customers';

UPDATE pipeline_watermarks
SET last_watermark = slice.bound, last_run_at = now() AT TIME ZONE 'UTC', records_processed = (SELECT count(*) FROM staged)
FROM slice
WHERE pipeline_name = 'example_customers' AND EXISTS (SELECT 1 FROM staged);

-- Deletes, updates and inserts in one statement. A delete of a row that is not there does nothing.
MERGE INTO customers AS target
USING staged ON target.customer_id = staged.customer_id
WHEN MATCHED AND staged.op = 'D' THEN DELETE
WHEN MATCHED AND (target.name, target.city) IS DISTINCT FROM (staged.name, staged.city) THEN
  UPDATE SET name = staged.name, city = staged.city
WHEN NOT MATCHED AND staged.op <> 'D' THEN
  INSERT (customer_id, name, city) VALUES (staged.customer_id, staged.name, staged.city);

COMMIT;

SELECT pipeline_name, last_watermark, last_run_at, records_processed FROM pipeline_watermarks ORDER BY pipeline_name;

-- === Snowflake ===
-- Needs an account, so the tests of this repository don't run it, unlike the two sections above. What differs: primary keys are not
-- enforced, so nothing but the load itself keeps a key single; every DDL statement commits the open transaction, so staging happens
-- BEFORE it begins; Snowflake Scripting gives us variables, SQLROWCOUNT and RAISE. Times are TIMESTAMP_NTZ in UTC.

CREATE SCHEMA IF NOT EXISTS merge_example;
USE SCHEMA merge_example;

CREATE TABLE IF NOT EXISTS pipeline_watermarks (
  pipeline_name     VARCHAR(100) PRIMARY KEY,
  last_watermark    TIMESTAMP_NTZ,
  last_run_at       TIMESTAMP_NTZ,
  records_processed BIGINT
);
CREATE TABLE IF NOT EXISTS shop_orders (
  order_id   INTEGER NOT NULL,
  customer   VARCHAR NOT NULL,
  amount     NUMBER(10, 2) NOT NULL,
  order_date DATE NOT NULL,
  updated_at TIMESTAMP_NTZ NOT NULL
);
CREATE TABLE IF NOT EXISTS customer_changes (
  ordinal      BIGINT NOT NULL,
  committed_at TIMESTAMP_NTZ NOT NULL,
  op           CHAR(1) NOT NULL,
  customer_id  INTEGER NOT NULL,
  name         VARCHAR,
  city         VARCHAR
);
CREATE TABLE IF NOT EXISTS orders_merged LIKE shop_orders;
CREATE TABLE IF NOT EXISTS orders_rewritten LIKE shop_orders;
CREATE TABLE IF NOT EXISTS orders_by_day LIKE shop_orders;
CREATE TABLE IF NOT EXISTS customers (customer_id INTEGER NOT NULL, name VARCHAR, city VARCHAR);

-- There is no ON CONFLICT: MERGE is the "insert if it is not there". The sample rows come the same way.
MERGE INTO pipeline_watermarks AS target
USING (SELECT column1 AS pipeline_name FROM VALUES ('example_orders'), ('example_customers')) AS wanted
ON target.pipeline_name = wanted.pipeline_name
WHEN NOT MATCHED THEN INSERT (pipeline_name) VALUES (wanted.pipeline_name);

MERGE INTO shop_orders AS target
USING (SELECT column1 AS order_id, column2 AS customer, column3 AS amount, column4::DATE AS order_date, column5::TIMESTAMP_NTZ AS updated_at
       FROM VALUES (1, 'Ada', 10.00, '2024-03-01', '2024-03-01 09:00:00'), (2, 'Grace', 25.50, '2024-03-01', '2024-03-01 10:30:00'),
                   (3, 'Edsger', 7.25, '2024-03-02', '2024-03-02 08:15:00'), (4, 'Barbara', 99.99, '2024-03-02', '2024-03-03 17:45:00')
      ) AS wanted
ON target.order_id = wanted.order_id
WHEN NOT MATCHED THEN INSERT VALUES (wanted.order_id, wanted.customer, wanted.amount, wanted.order_date, wanted.updated_at);

MERGE INTO customer_changes AS target
USING (SELECT column1 AS ordinal, column2::TIMESTAMP_NTZ AS committed_at, column3 AS op, column4 AS customer_id,
              column5 AS name, column6 AS city
       FROM VALUES (1, '2024-03-01 09:00:00', 'I', 1, 'Ada', 'London'), (2, '2024-03-01 09:05:00', 'U', 1, 'Ada', 'Ockham'),
                   (3, '2024-03-01 09:10:00', 'I', 2, 'Grace', 'New York'), (4, '2024-03-01 09:15:00', 'D', 2, NULL, NULL)) AS wanted
ON target.ordinal = wanted.ordinal
WHEN NOT MATCHED THEN
  INSERT VALUES (wanted.ordinal, wanted.committed_at, wanted.op, wanted.customer_id, wanted.name, wanted.city);

-- ---- A. Load by watermark -----------------------------------------------------------------------------------------------

EXECUTE IMMEDIATE $$
DECLARE
  slice_after TIMESTAMP_NTZ;
  slice_bound TIMESTAMP_NTZ;
  staged_rows INTEGER;
  moved_by_another EXCEPTION (-20001, 'Another run moved example_orders first. Nothing was written; run again.');
BEGIN
  -- Step 1: fix the slice. Generous margin: Snowflake does not show the open transactions of others to everyone. A row that is dated
  -- by its writer more than five minutes before its commit would be missed; changes from a stream, as in C, know no such limit.
  SELECT last_watermark INTO :slice_after FROM pipeline_watermarks WHERE pipeline_name = 'example_orders';
  slice_bound := DATEADD(minute, -5, SYSDATE());

  -- Step 2: read it, before the transaction. QUALIFY keeps one row per key: a MERGE with two would pick one at random or fail.
  CREATE OR REPLACE TEMPORARY TABLE staged AS
  SELECT * FROM shop_orders
  WHERE (:slice_after IS NULL OR updated_at >= :slice_after) AND updated_at < :slice_bound
  QUALIFY ROW_NUMBER() OVER (PARTITION BY order_id ORDER BY updated_at DESC) = 1;
  SELECT COUNT(*) INTO :staged_rows FROM staged;
  IF (staged_rows = 0) THEN RETURN 'nothing to do'; END IF;

  BEGIN TRANSACTION;

  -- Step 3: compare-and-set. It locks pipeline_watermarks until COMMIT, so a rival waits, and then matches no row.
  UPDATE pipeline_watermarks SET last_watermark = :slice_bound, last_run_at = SYSDATE(), records_processed = :staged_rows
  WHERE pipeline_name = 'example_orders' AND last_watermark IS NOT DISTINCT FROM :slice_after;
  IF (SQLROWCOUNT <> 1) THEN RAISE moved_by_another; END IF;

  -- Step 4a: MERGE. EQUAL_NULL treats two NULLs as equal; unchanged rows are left alone, and so are their micro-partitions.
  MERGE INTO orders_merged AS target
  USING staged ON target.order_id = staged.order_id
  WHEN MATCHED AND NOT (EQUAL_NULL(target.customer, staged.customer) AND EQUAL_NULL(target.amount, staged.amount)
      AND EQUAL_NULL(target.order_date, staged.order_date) AND EQUAL_NULL(target.updated_at, staged.updated_at)) THEN
    UPDATE SET customer = staged.customer, amount = staged.amount, order_date = staged.order_date, updated_at = staged.updated_at
  WHEN NOT MATCHED THEN
    INSERT (order_id, customer, amount, order_date, updated_at)
    VALUES (staged.order_id, staged.customer, staged.amount, staged.order_date, staged.updated_at);

  -- Step 4b: DELETE + INSERT.
  DELETE FROM orders_rewritten USING staged WHERE orders_rewritten.order_id = staged.order_id;
  INSERT INTO orders_rewritten SELECT * FROM staged;

  COMMIT;
  RETURN staged_rows || ' rows';
EXCEPTION
  WHEN OTHER THEN
    ROLLBACK;
    RAISE;
END;
$$;

-- ---- B. Replace a partition ---------------------------------------------------------------------------------------------

-- HASH_AGG is the same for the same rows in any order. INSERT OVERWRITE would replace the whole table, not one day.
EXECUTE IMMEDIATE $$
DECLARE
  same BOOLEAN;
BEGIN
  CREATE OR REPLACE TEMPORARY TABLE staged AS SELECT * FROM shop_orders WHERE order_date = '2024-03-02';
  SELECT (SELECT COUNT(*) || ' ' || HASH_AGG(*) FROM staged)
       = (SELECT COUNT(*) || ' ' || HASH_AGG(*) FROM orders_by_day WHERE order_date = '2024-03-02') INTO :same;
  IF (same) THEN RETURN 'unchanged'; END IF;
  BEGIN TRANSACTION;
  DELETE FROM orders_by_day WHERE order_date = '2024-03-02';
  INSERT INTO orders_by_day SELECT * FROM staged;
  COMMIT;
  RETURN 'replaced';
EXCEPTION
  WHEN OTHER THEN
    ROLLBACK;
    RAISE;
END;
$$;

-- ---- C. Apply changes, with deletes -------------------------------------------------------------------------------------

EXECUTE IMMEDIATE $$
DECLARE
  slice_after TIMESTAMP_NTZ;
  slice_bound TIMESTAMP_NTZ;
  staged_rows INTEGER;
  moved_by_another EXCEPTION (-20001, 'Another run moved example_customers first. Nothing was written; run again.');
BEGIN
  SELECT last_watermark INTO :slice_after FROM pipeline_watermarks WHERE pipeline_name = 'example_customers';
  SELECT MAX(committed_at) INTO :slice_bound FROM customer_changes;

  CREATE OR REPLACE TEMPORARY TABLE staged AS
  SELECT * FROM customer_changes
  WHERE (:slice_after IS NULL OR committed_at > :slice_after) AND committed_at <= :slice_bound
  QUALIFY ROW_NUMBER() OVER (PARTITION BY customer_id ORDER BY ordinal DESC) = 1;
  SELECT COUNT(*) INTO :staged_rows FROM staged;
  IF (staged_rows = 0) THEN RETURN 'nothing to do'; END IF;

  BEGIN TRANSACTION;
  UPDATE pipeline_watermarks SET last_watermark = :slice_bound, last_run_at = SYSDATE(), records_processed = :staged_rows
  WHERE pipeline_name = 'example_customers' AND last_watermark IS NOT DISTINCT FROM :slice_after;
  IF (SQLROWCOUNT <> 1) THEN RAISE moved_by_another; END IF;

  MERGE INTO customers AS target
  USING staged ON target.customer_id = staged.customer_id
  WHEN MATCHED AND staged.op = 'D' THEN DELETE
  WHEN MATCHED AND NOT (EQUAL_NULL(target.name, staged.name) AND EQUAL_NULL(target.city, staged.city)) THEN
    UPDATE SET name = staged.name, city = staged.city
  WHEN NOT MATCHED AND staged.op <> 'D' THEN
    INSERT (customer_id, name, city) VALUES (staged.customer_id, staged.name, staged.city);
  COMMIT;
  RETURN staged_rows || ' changes';
EXCEPTION
  WHEN OTHER THEN
    ROLLBACK;
    RAISE;
END;
$$;
