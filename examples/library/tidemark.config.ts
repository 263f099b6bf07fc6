// A project file in TypeScript: the same words as in YAML, checked by the compiler.
// Needs SOURCE_URL, a Postgres with a table public.orders (see ../postgres-to-duckdb/seed.sql).

import { defineProject } from 'tidemark'

export default defineProject({
  connections: {
    shop: { type: 'postgres', url: '${env:SOURCE_URL}' },
    warehouse: { type: 'duckdb', path: './warehouse.duckdb' },
  },
  pipelines: {
    orders: {
      pattern: 'watermark',
      source: { connection: 'shop', table: 'public.orders' },
      target: { connection: 'warehouse', table: 'staging.orders' },
      cursor: 'updated_at',
    },
  },
})
