#!/bin/sh
# Loads the shop, changes it, and loads again. Needs `tidemark` and `psql`; SOURCE_URL names an empty Postgres database.
set -eu
cd "$(dirname "$0")"
: "${SOURCE_URL:?set it, for example: export SOURCE_URL=postgresql://postgres@localhost/shop}"

psql "$SOURCE_URL" -f seed.sql
tidemark check
tidemark run

psql "$SOURCE_URL" -c "UPDATE orders SET status = 'shipped' WHERE id % 100 = 0"
tidemark plan orders
tidemark run orders
tidemark run orders

tidemark status
tidemark watermark history orders
