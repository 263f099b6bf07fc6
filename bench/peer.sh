#!/usr/bin/env bash
# Runs one workload as a user would: one call of the built command. Needs SRC_URL, DST_URL and DUCKDB_FILE.
#   W1 first load, W2/W2s/W2z increments (PostgreSQL → PostgreSQL); W3 first load, W4 increment (PostgreSQL → DuckDB)
set -euo pipefail
home=$(cd "$(dirname "$0")/.." && pwd)
case ${1:?workload} in
W1 | W2 | W2s | W2z) pipeline=postgres ;;
W3 | W4) pipeline=duckdb ;;
*) echo "no workload $1" >&2; exit 2 ;;
esac
export DST_URL=${DST_URL:-} DUCKDB_FILE=${DUCKDB_FILE:-}
node=$home/node_modules/.bin/node
exec "$([ -x "$node" ] && echo "$node" || echo node)" "$home/dist/cli.js" run "$pipeline" -c "$home/bench/tidemark.yml" -q
