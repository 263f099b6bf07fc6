// Measures tidemark against hand-written baselines: npm run bench -- [W1 W2z W2s W2 W3 W4 W5 W5r W7 W8 K1] [--runs 5] [--save]
// BENCH_ROWS: rows of the source, default 2,000,000. BENCH_DUCKDB_PYTHON: a Python with duckdb and duckdb-extension-postgres-scanner, for
// one more baseline. --save writes bench/RESULTS.md. Exit 1: a target was not equal to the source; 2: wrong usage; 3: no psql. No speed
// is ever asserted. Everything runs in one throw-away Postgres whose folder goes with this process.

import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { startPostgres } from '../src/testing/postgres-server.ts'
import { measureCatchUp } from './catch-up.ts'
import { measureLatency } from './latency.ts'
import { describeMachine } from './machine.ts'
import { hasPsql } from './psql.ts'
import { measureAll, type Result } from './rounds.ts'
import { generateSource } from './source.ts'
import { resultTable } from './table.ts'
import { measureTopic } from './topic.ts'
import { WORKLOADS } from './workloads.ts'

const DEBIAN = '/usr/lib/postgresql/15/bin'
const SETTINGS = {
  fsync: true,
  full_page_writes: true,
  synchronous_commit: 'on',
  shared_buffers: '1GB',
  max_wal_size: '8GB',
  checkpoint_timeout: '1h',
  autovacuum: false,
  wal_level: 'logical',
}

interface Request {
  readonly names: readonly string[]
  readonly runs: number
  readonly rows: number
  readonly save: boolean
}

function readRequest(): Request {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { runs: { type: 'string', default: '3' }, save: { type: 'boolean', default: false } },
  })
  const known = [...WORKLOADS.map(({ name }) => name), 'W7', 'W8', 'K1']
  const unknown = positionals.filter((name) => !known.includes(name))
  if (unknown.length > 0) throw new Error(`There is no workload ${unknown.join(', ')}, only ${known.join(', ')}.`)
  const runs = Number(values.runs)
  if (!Number.isInteger(runs) || runs < 3) throw new Error('--runs takes a whole number from 3 upwards: the median of fewer says little.')
  const rows = Number(process.env['BENCH_ROWS'] ?? 2_000_000)
  if (!Number.isInteger(rows) || rows < 1000) throw new Error('BENCH_ROWS takes a whole number from 1000 upwards.')
  return { names: positionals.length > 0 ? positionals : known, runs, rows, save: values.save }
}

async function bench({ names, runs, rows, save }: Request): Promise<boolean> {
  const say = (line: string) => console.error(line)
  if (existsSync(join(DEBIAN, 'postgres'))) process.env['TIDEMARK_PG_BIN'] ??= DEBIAN
  await using server = await startPostgres({ settings: SETTINGS })
  // Below the server's folder, which is removed even where this process is killed.
  const folder = join(dirname(server.dataDirectory), 'bench')
  mkdirSync(folder)
  say(`Postgres ${server.version} on port ${server.port}`)
  if (names.some((name) => name !== 'K1')) {
    say(`making ${rows.toLocaleString('en')} rows`)
    await generateSource(server, rows)
  }
  const results: Result[] = []
  for (const first of WORKLOADS.filter((workload) => workload.first)) {
    const chosen = WORKLOADS.filter(({ name, target, days }) => names.includes(name) && target === first.target && days === first.days)
    if (chosen.length === 0) continue
    for await (const result of measureAll({ server, folder, runs, say }, first, chosen)) results.push(result)
  }
  const rounds = { server, folder, runs, say }
  if (names.includes('W7')) results.push(...(await measureCatchUp(rounds)))
  if (names.includes('K1')) results.push(await measureTopic(rounds))
  const latency = names.includes('W8') ? await measureLatency(rounds) : ''
  const report = `${await describeMachine(server.url())}
Medians of ${runs} runs, the tools by turns in one go and one Postgres (fsync on, 1 GB of shared buffers), every target compared with the
source after every run. Seconds are those of the whole process; CPU and memory are the tool's, without the servers'.

${results.length > 0 ? resultTable(results) : ''}
${latency}`
  console.log(report)
  if (save) writeFileSync(join(import.meta.dirname, 'RESULTS.md'), `# Results of \`npm run bench\`\n\n${report}`)
  return results.every(({ tools }) => tools.every((tool) => tool.runs.every((run) => run.failure === null)))
}

// Ends what is being measured; the server's watchdog does the rest.
process.once('SIGINT', () => process.exit(130))
process.once('SIGTERM', () => process.exit(143))

if (!hasPsql) {
  console.error(
    'The baselines need psql, and there is none: not in TIDEMARK_PG_BIN, /usr/lib/postgresql/*/bin or PATH. Install postgresql-client.',
  )
  process.exit(3)
}
let request: Request
try {
  request = readRequest()
} catch (error) {
  console.error(`${(error as Error).message}\nusage: npm run bench -- [W1 W2z W2s W2 W3 W4 W5 W5r W7 W8 K1] [--runs 5] [--save]`)
  process.exit(2)
}
process.exitCode = (await bench(request)) ? 0 : 1
