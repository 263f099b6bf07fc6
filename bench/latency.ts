// W8: a thousand transactions of one row a second, and how long each takes from the return of its commit at the source to where a reader
// of the target sees it, for tidemark that follows and for the server's own logical replication. The target is looked at every 2 ms.

import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import { TIDEMARK } from './baselines.ts'
import { dropLog, prepareLog } from './catch-up.ts'
import { ENVIRONMENT, query } from './psql.ts'
import type { Rounds } from './rounds.ts'
import { sourceUrl } from './source.ts'
import { Targets } from './targets.ts'

const WRITERS = 4
const RATE = 250
const SECONDS = 20
const LOOK_MS = 2

/** A table in Markdown, medians of the runs. */
export async function measureLatency(rounds: Rounds): Promise<string> {
  const { server, folder, runs, say } = rounds
  const targets = new Targets(server, folder)
  await prepareLog(rounds, targets)
  const tidemark: number[][] = []
  const native: number[][] = []
  for (let run = 1; run <= runs; run++) {
    say(`W8, run ${run} of ${runs}`)
    const { DST_URL = '', ...variables } = targets.variables(TIDEMARK)
    const child = follow({ ...variables, DST_URL })
    tidemark.push(await writeAndLook(sourceUrl(server), DST_URL, 'bench.progress'))
    child.kill('SIGTERM')
    await new Promise((resolve) => child.once('close', resolve))
    say(`  tidemark: ${percentiles(tidemark.at(-1) ?? []).join(' / ')} ms`)
    await query(server.url('target_native'), 'ALTER SUBSCRIPTION native ENABLE')
    native.push(await writeAndLook(sourceUrl(server), server.url('target_native'), 'progress'))
    await query(server.url('target_native'), 'ALTER SUBSCRIPTION native DISABLE')
    say(`  native: ${percentiles(native.at(-1) ?? []).join(' / ')} ms`)
  }
  await dropLog(server)
  const line = (name: string, all: readonly number[][]): string =>
    `| ${[name, ...[0, 1, 2, 3].map((index) => median(all.map((one) => Number(percentiles(one)[index]))).toFixed(1))].join(' | ')} |`
  return `
${WRITERS * RATE} transactions of one row a second for ${SECONDS} s, from commit at the source to visible at the target, in milliseconds:

| by | p50 | p95 | p99 | slowest |
| --- | ---: | ---: | ---: | ---: |
${line('tidemark', tidemark)}
${line("Postgres' own logical replication", native)}
`
}

function follow(variables: Readonly<Record<string, string>>): ChildProcess {
  const home = join(import.meta.dirname, '..')
  const command = [join(home, 'dist', 'cli.js'), 'follow', 'log', '-c', join(home, 'bench', 'log.yml'), '-q']
  return spawn(process.execPath, command, { env: { ...ENVIRONMENT, ...variables }, stdio: 'ignore' })
}

/** Milliseconds of each transaction. */
async function writeAndLook(source: string, target: string, table: string): Promise<number[]> {
  const [row = ''] = (await query(source, 'SELECT max(n) FROM progress')).split('|')
  const before = Number(row)
  await arrived(target, table, before)
  const count = RATE * SECONDS
  const start = performance.now() + 500
  const committed = Array.from({ length: WRITERS }, () => new Float64Array(count))
  const seen = Array.from({ length: WRITERS }, () => new Float64Array(count))
  const writing = committed.map((times, writer) => write(source, writer, before, start, times))
  const reader = new pg.Client({ connectionString: target })
  await reader.connect()
  const last = seen.map(() => 0)
  for (const until = start + (SECONDS + 60) * 1000; performance.now() < until && last.some((n) => n < count); await pause(LOOK_MS)) {
    const { rows } = await reader.query(`SELECT writer, n FROM ${table}`)
    const now = performance.now()
    for (const { writer, n } of rows) {
      for (let at = last[writer] ?? 0; at < Number(n) - before; at++) (seen[writer] as Float64Array)[at] = now
      last[writer] = Math.max(last[writer] ?? 0, Number(n) - before)
    }
  }
  await Promise.all(writing)
  await reader.end()
  return committed.flatMap((times, writer) => [...times].map((time, at) => Math.max(0, (seen[writer]?.[at] ?? Number.NaN) - time)))
}

/** Has caught up with what was there. */
async function arrived(target: string, table: string, n: number): Promise<void> {
  while (Number(await query(target, `SELECT max(n) FROM ${table}`)) < n) await pause(100)
  await pause(1000)
}

async function write(source: string, writer: number, before: number, start: number, times: Float64Array): Promise<void> {
  const client = new pg.Client({ connectionString: source })
  await client.connect()
  for (let at = 0; at < times.length; at++) {
    const wait = start + (at * 1000) / RATE - performance.now()
    if (wait > 1) await pause(wait)
    await client.query(`UPDATE progress SET n = ${before + at + 1} WHERE writer = ${writer}`)
    times[at] = performance.now()
  }
  await client.end()
}

function percentiles(times: readonly number[]): string[] {
  const sorted = [...times].sort((a, b) => a - b)
  return [0.5, 0.95, 0.99, 1].map((part) => (sorted[Math.floor(part * (sorted.length - 1))] ?? Number.NaN).toFixed(1))
}

function median(values: number[]): number {
  values.sort((a, b) => a - b)
  return values[values.length >> 1] ?? Number.NaN
}
