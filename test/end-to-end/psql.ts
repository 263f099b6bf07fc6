// Stands in for psql in the examples, which may not be installed: `psql URL -f FILE` and `psql URL -c SQL`.

import { readFileSync } from 'node:fs'
import pg from 'pg'

const [url, option, value = ''] = process.argv.slice(2)
const client = new pg.Client({ connectionString: url })
await client.connect()
await client.query(option === '-f' ? readFileSync(value, 'utf8') : value)
await client.end()
