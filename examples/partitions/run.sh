#!/bin/sh
# Loads orders by day and by region, changes them, and loads again. Needs `tidemark` and `psql`; SOURCE_URL names an empty Postgres database.
set -eu
cd "$(dirname "$0")"
: "${SOURCE_URL:?set it, for example: export SOURCE_URL=postgresql://postgres@localhost/shop}"

psql "$SOURCE_URL" -f seed.sql
tidemark check

# A backfill in two parts, as one would do it for years: a week first, then everything that is missing.
tidemark run orders_by_day --from 2024-03-04 --to 2024-03-11
tidemark run

# A day of the past is corrected, and its orders change region.
psql "$SOURCE_URL" -c "UPDATE orders SET status = 'refunded', region = 'EU' WHERE id BETWEEN 9000 AND 9099 AND region = 'US'"
tidemark plan
tidemark run
tidemark partitions reload orders_by_day 2024-03-10
tidemark run

tidemark status
tidemark partitions list orders_by_day --from 2024-03-08 --to 2024-03-12
tidemark partitions list orders_by_region
