// `tidemark demo`: a real Postgres, a DuckDB file, and the three things that lose or double rows elsewhere: a transaction that
// commits late, a process killed in the middle, and running again. After each step target and source are compared.

import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { LoadError } from '../core/errors.ts'
import { count } from '../core/plan-text.ts'
import { watermarkOf } from '../core/position.ts'
import type { PostgresServer } from '../testing/postgres-server.ts'
import type { Console } from './console.ts'
import { checksum } from './demo-compare.ts'
import { byDay, threeDays } from './demo-partitions.ts'
import { type Loaded, load, loadAndKill } from './demo-run.ts'
import { beginLateSale, changeShop, fillShop, greatestUpdate, PROJECT_FILE, SHOP, skippedByScript } from './demo-shop.ts'
import { compare, loadedText, type Stage, warehouseOf } from './demo-stage.ts'

/** The safe bound stays this far behind the source's clock: younger rows of an append wait. A little more, for slow machines. */
const MARGIN_MS = 2_300

const RUN = ['run', ...SHOP.map(({ pipeline }) => pipeline)]

/** Starts everything, shows it, and leaves nothing behind. Exit 4 if a row was lost or doubled. */
export async function demo(console: Console): Promise<number> {
  const began = performance.now()
  console.say('A small shop in a Postgres of its own, loaded into a DuckDB file.')
  console.say('It takes about 20 seconds and leaves nothing behind.')
  await using server = await start()
  const { default: pg } = await import('pg')
  const [shop, cashier] = [
    new pg.Client({ connectionString: server.url() }),
    new pg.Client({ connectionString: server.url(), application_name: 'cashier' }),
  ]
  await Promise.all([shop.connect(), cashier.connect()])
  // Below the server's folder: its watchdog removes it, however this process ends.
  const folder = join(dirname(server.dataDirectory), 'project')
  mkdirSync(folder)
  writeFileSync(join(folder, 'tidemark.yml'), PROJECT_FILE)
  const stage: Stage = { console, shop, cashier, url: server.url(), folder, steps: [] }
  try {
    await firstLoad(stage, server)
    await lateCommit(stage)
    await killed(stage)
    await again(stage)
    await byDay(stage)
    await threeDays(stage)
  } finally {
    await Promise.allSettled([shop.end(), cashier.end()])
  }
  return verdict(stage, (performance.now() - began) / 1000)
}

async function start(): Promise<PostgresServer> {
  const { startPostgres } = await import('../testing/postgres-server.ts')
  try {
    return await startPostgres()
  } catch (error) {
    throw withoutPostgres(error)
  }
}

/** What to install where no Postgres was found; any other error is left as it is. */
export function withoutPostgres(error: unknown): unknown {
  if (!(error instanceof Error) || !error.message.startsWith('No Postgres')) return error
  return new LoadError('missing-driver', `The demonstration needs the programs of a Postgres, version 12 or newer. ${error.message}`, {
    cause: error,
    hint: 'Debian and Ubuntu: apt-get install postgresql. macOS: brew install postgresql. It need not be configured or running.',
  })
}

async function firstLoad(stage: Stage, server: PostgresServer): Promise<void> {
  const { console, shop } = stage
  await fillShop(shop)
  console.say('')
  console.say(`1. A shop in Postgres ${server.version}, on port ${server.port}:`)
  console.say('   200,000 orders, 100,000 order events, 2,000 products.')
  console.say('')
  console.say('2. First load: orders by merge, order_events by append, products by replace.')
  const loaded = await load(stage, RUN)
  console.say(`   ${loadedText(loaded)}`)
  await compareShop(stage, 'first load')
}

async function lateCommit(stage: Stage): Promise<void> {
  const { console, shop, cashier } = stage
  console.say('')
  console.say('3. The shop goes on: 20,000 orders change, rows come and go, and a cashier')
  console.say('   begins a sale that stays open while all others commit.')
  const sale = await beginLateSale(cashier)
  await changeShop(shop, 1)
  await pause(MARGIN_MS)
  const loaded = await load(stage, RUN)
  const greatestSeen = await greatestUpdate(shop)
  console.say(`   ${loadedText(loaded)}`)
  console.say('   What is merged loads at once. What is appended waits for the open sale.')
  await compareShop(stage, 'while a transaction is open', loaded)
  await sale.commit()
  console.say('')
  console.say('4. The sale commits. Its three rows are dated before thousands that are loaded.')
  console.say(`   ${loadedText(await load(stage, RUN))}`)
  console.say(
    `   A script that goes on from max(updated_at) would have lost ${count(await skippedByScript(shop, greatestSeen), 'row')} here.`,
  )
  await compareShop(stage, 'after the late commit')
}

async function killed(stage: Stage): Promise<void> {
  const { console, shop, steps } = stage
  console.say('')
  console.say('5. Changes again, and two runs are killed by SIGKILL: one while its rows')
  console.say('   arrive, one just before its commit.')
  const before = steps.at(-1)?.comparisons.map((one) => one.target_checksum)
  await changeShop(shop, 2)
  const changed = performance.now()
  await loadAndKill(stage, ['run', 'orders'], 'chunk-staged:3')
  await pause(Math.max(0, MARGIN_MS - (performance.now() - changed)))
  await loadAndKill(stage, ['run', 'order_events'], 'before-commit')
  const after: string[] = []
  for (const table of SHOP) after.push((await checksum(warehouseOf(stage), table)).join(' '))
  if (before?.join() === after.join()) console.say('   The target is as it was, to the last row. Nothing is half-written.')
  else console.say('   The target CHANGED.')
  console.say('   Run again, with nothing to repair:')
  console.say(`   ${loadedText(await load(stage, RUN))}`)
  await compareShop(stage, 'after two kills')
}

async function again(stage: Stage): Promise<void> {
  const { console } = stage
  console.say('')
  console.say('6. Run once more, with nothing new in the shop.')
  const { pipelines } = await load(stage, RUN)
  const changed = pipelines.reduce((sum, { rows }) => sum + rows.inserted + rows.updated + rows.deleted, 0)
  console.say(`   ${count(changed, 'row')} changed.`)
  await compareShop(stage, 'run again')
}

/** After `loaded`, an append that waits is compared up to its watermark: beyond it nothing is promised yet. */
async function compareShop(stage: Stage, step: string, loaded?: Loaded): Promise<void> {
  const expected = SHOP.map((table) => {
    const to = loaded?.pipelines.find(({ pipeline }) => pipeline === table.pipeline)?.to ?? null
    const upTo = table.write === 'append' ? watermarkOf(to) : null
    return upTo === null ? { table } : { table, where: `${table.cursor} < '${upTo}'::timestamptz` }
  })
  await compare(stage, step, expected, loaded === undefined ? '' : ', order_events up to its watermark')
}

function verdict({ console, steps }: Stage, seconds: number): number {
  const all = steps.flatMap(({ comparisons }) => comparisons)
  const sum = (kind: 'lost' | 'doubled' | 'different'): number => all.reduce((total, one) => total + one[kind], 0)
  const [lost, doubled, different] = [sum('lost'), sum('doubled'), sum('different')]
  const ok = all.every(({ equal }) => equal)
  const line = `lost ${lost}, doubled ${doubled}${different === 0 ? '' : `, different ${different}`}`
  console.say('')
  console.answer([line])
  if (console.options.output !== undefined && console.options.output !== 'text') console.say(line)
  console.say('')
  console.say('Your own tables: tidemark init postgresql://user@host/database')
  console.data({ command: 'demo', ok, seconds: Math.round(seconds * 10) / 10, lost, doubled, different, steps })
  return ok ? 0 : 4
}
