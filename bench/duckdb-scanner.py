# A baseline: DuckDB reads Postgres by its own extension. Needs the Python packages duckdb and duckdb-extension-postgres-scanner.
# Arguments: first or increment. Environment: SRC_URL, DUCKDB_FILE.
import os
import pathlib
import sys

import duckdb
import duckdb_extension_postgres_scanner as package

extension = next(pathlib.Path(package.__file__).parent.rglob('*.duckdb_extension'))
connection = duckdb.connect(os.environ['DUCKDB_FILE'])
connection.execute("SET TimeZone = 'UTC'")
connection.execute(f"LOAD '{extension}'")
connection.execute(f"ATTACH '{os.environ['SRC_URL']}' AS source (TYPE postgres, READ_ONLY)")

if sys.argv[1] == 'first':
    connection.execute('CREATE SCHEMA bench')
    connection.execute('CREATE TABLE bench.orders AS SELECT * FROM source.public.orders')
else:
    newest = connection.execute('SELECT max(updated_at)::text FROM bench.orders').fetchone()[0]
    connection.execute('BEGIN')
    connection.execute(f"CREATE TEMP TABLE stage AS SELECT * FROM source.public.orders WHERE updated_at > '{newest}'")
    connection.execute('DELETE FROM bench.orders USING stage WHERE orders.id = stage.id')
    connection.execute('INSERT INTO bench.orders SELECT * FROM stage')
    connection.execute('COMMIT')
connection.close()
