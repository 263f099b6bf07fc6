#!/bin/sh
# The whole chain. Needs `tidemark` and `psql`; SOURCE_URL names an empty Postgres database with wal_level = logical, KAFKA_BROKER a broker as
# host:port, and CONNECT_URL the REST interface of a Kafka Connect that has Debezium's Postgres connector.
set -eu
cd "$(dirname "$0")"
: "${SOURCE_URL:?set it, for example: export SOURCE_URL=postgresql://postgres@localhost/shop}"
: "${KAFKA_BROKER:?set it, for example: export KAFKA_BROKER=localhost:9092}"
: "${CONNECT_URL:?set it, for example: export CONNECT_URL=http://localhost:8083}"

psql "$SOURCE_URL" -f seed.sql
tidemark connector register orders_debezium --yes
tidemark connector status orders_debezium
# How far the connector has come is in its topic: until it has caught up, a run finds less than there is.
sleep 5
tidemark run

psql "$SOURCE_URL" -c "UPDATE orders SET status = 'shipped', updated_at = now() WHERE id <= 50; DELETE FROM orders WHERE id % 100 = 0"
sleep 3
tidemark run
tidemark status

# What is not needed any more is removed: the connector, and then, at the database, what it has made there.
tidemark connector remove orders_debezium --yes
psql "$SOURCE_URL" -c "SELECT pg_drop_replication_slot('orders_slot')"
psql "$SOURCE_URL" -c "DROP PUBLICATION orders_publication"
