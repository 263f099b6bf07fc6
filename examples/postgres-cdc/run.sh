#!/bin/sh
# Copies a shop, then follows its log. Needs `tidemark` and `psql`; SOURCE_URL names an empty Postgres database with wal_level = logical.
set -eu
cd "$(dirname "$0")"
: "${SOURCE_URL:?set it, for example: export SOURCE_URL=postgresql://postgres@localhost/shop}"

psql "$SOURCE_URL" -f seed.sql
tidemark plan
tidemark run

# An order and its product change in one transaction; orders are deleted, which no watermark would see.
psql "$SOURCE_URL" -c "BEGIN; INSERT INTO orders (product_id, status, amount) VALUES (7, 'new', 9.90); UPDATE products SET stock = stock - 1 WHERE id = 7; COMMIT"
psql "$SOURCE_URL" -c "DELETE FROM orders WHERE id % 100 = 0"
tidemark run

# What comes in the meantime is in the target when the signal has been answered, or comes with the next run.
tidemark follow shop &
following=$!
sleep 2
psql "$SOURCE_URL" -c "UPDATE orders SET status = 'shipped' WHERE id <= 50"
sleep 2
kill -TERM $following
wait $following

tidemark run
tidemark status

# A slot that nobody reads keeps its source's log for ever: what is no longer followed is dropped.
tidemark drop shop --yes
tidemark drop order_history --yes
