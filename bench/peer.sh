#!/usr/bin/env bash
# Runs one workload as a user would: one call of the built command. Needs SRC_URL, DST_URL and DUCKDB_FILE.
#   W1 first load, W2/W2s/W2z increments (PostgreSQL → PostgreSQL); W3 first load, W4 increment (PostgreSQL → DuckDB);
#   W7 a log that ran ahead (PostgreSQL → PostgreSQL), W7d (→ DuckDB); the first call copies
#   K1 a topic of Debezium (Kafka → PostgreSQL), from its beginning
#   W5 the partitions of the days in $DAYS, W5r those in $RELOAD_DAYS again (PostgreSQL → PostgreSQL)
set -euo pipefail
more=()
project=tidemark
home=$(cd "$(dirname "$0")/.." && pwd)
case ${1:?workload} in
W1 | W2 | W2s | W2z) pipeline=postgres ;;
W3 | W4) pipeline=duckdb ;;
W5) pipeline=days project=days; read -r FIRST_DAY LAST_DAY <<<"$DAYS" ;;
W5r) pipeline=days project=days; more=(); for day in $RELOAD_DAYS; do more+=(--partition "$day"); done ;;
K1) pipeline=topic project=topic ;;
W7) pipeline=log project=log ;;
W7d) pipeline=log_duckdb project=log ;;
*) echo "no workload $1" >&2; exit 2 ;;
esac
export DST_URL=${DST_URL:-} DUCKDB_FILE=${DUCKDB_FILE:-} FIRST_DAY=${FIRST_DAY:-2026-10-01} LAST_DAY=${LAST_DAY:-2026-10-30}
node=$home/node_modules/.bin/node
exec "$([ -x "$node" ] && echo "$node" || echo node)" "$home/dist/cli.js" run "$pipeline" "${more[@]}" -c "$home/bench/$project.yml" -q
