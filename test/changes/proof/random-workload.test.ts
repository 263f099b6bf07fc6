// Random workloads from real connections, while a pipeline copies, runs, follows, is stopped, cut off and killed; then the target is the
// source row by row. Replay one: TIDEMARK_SEED=7 vitest run --project servers test/changes/proof/random-workload.test.ts

import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { PipelineResult } from '../../../src/core/event.ts'
import type { ChangeWrite } from '../../../src/core/pipeline.ts'
import { type Loading, startLoading } from '../../servers/loading.ts'
import { Random } from '../../simulate/random.ts'
import { useOwnServer } from '../following.ts'
import { replayed } from './replay.ts'
import { makeTables, TABLES, Workload } from './workload.ts'

const server = useOwnServer()

const SEEDS = 50
const MAY_FAIL = ['stopped', 'connection-lost', 'unreachable', 'try-again', 'state-conflict']
const KEYS: Readonly<Record<string, readonly string[]>> = {
  wide: ['id'],
  pair: ['id', 'part'],
  named: ['code'],
  whole: ['id'],
  parts: ['id'],
}

class Play {
  readonly #loading: Loading
  readonly #random: Random
  readonly #write: ChangeWrite
  readonly #schema: string
  readonly #slot: string

  constructor(loading: Loading, seed: number, write: ChangeWrite) {
    this.#loading = loading
    this.#random = new Random(seed)
    this.#write = write
    this.#schema = `seed_${seed}`
    this.#slot = `seed_${seed}`
  }

  async play(): Promise<void> {
    const { source } = this.#loading
    await source.run(makeTables(this.#schema))
    this.#loading.pipelines({
      [this.#slot]: {
        pattern: 'cdc',
        source: { tables: TABLES.map((table) => `${this.#schema}.${table}`), slot: this.#slot, publication: this.#slot },
        write: this.#write,
      },
    })
    // The history does not keep the key that a row had before.
    const workload = await Workload.open(source, this.#random, this.#schema, { moves: this.#write !== 'append', alters: true })
    try {
      for (let rounds = 2 + this.#random.below(3); rounds > 0; rounds--) await this.#round(workload)
      await workload.quiesce()
      expect((await this.#run({})).error).toBeNull()
      await this.#areSame()
    } finally {
      await workload.close()
      await source.run(
        `SELECT pg_drop_replication_slot('${this.#slot}'); DROP PUBLICATION "${this.#slot}"; DROP SCHEMA ${this.#schema} CASCADE`,
      )
    }
  }

  async #round(workload: Workload): Promise<void> {
    const random = this.#random
    await workload.act(random.below(25))
    const chance = random.next()
    const copies = (await this.#loading.state())?.position.kind !== 'log' || chance < 0.15
    const stop = new AbortController()
    const running =
      chance < 0.15
        ? this.#run({ resync: [`${this.#schema}.${random.of(TABLES)}`] })
        : chance < 0.3
          ? this.#killed(50 + random.below(700))
          : this.#run({ follows: chance < 0.75, signal: stop.signal })
    await workload.act(10 + random.below(30))
    // A new slot waits for all that are open.
    if (copies) await workload.quiesce()
    if (chance > 0.6) await this.#cutOff(random.of(['source', 'target']))
    await workload.act(random.below(15))
    await pause(random.below(60))
    if (chance >= 0.3 && chance < 0.75) stop.abort()
    await workload.quiesce(!copies)
    const { error } = await running
    if (error !== null && !MAY_FAIL.includes(error.code)) throw new Error(`${error.code}: ${error.message}`)
  }

  async #run(request: object): Promise<Pick<PipelineResult, 'error'>> {
    return this.#loading.run(request, { retries: 20, retrySeconds: 0.02 })
  }

  async #killed(afterMs: number): Promise<Pick<PipelineResult, 'error'>> {
    const { child, done } = this.#loading.start(['follow', this.#slot])
    await pause(afterMs)
    child.kill('SIGKILL')
    await done
    return { error: null }
  }

  /** Ends what tidemark has open there. */
  async #cutOff(side: 'source' | 'target'): Promise<void> {
    if (side === 'target' && typeof this.#loading.side === 'string') return
    await this.#loading[side].rows(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'tidemark%'`,
    )
  }

  async #areSame(): Promise<void> {
    const { source, side } = this.#loading
    for (const table of TABLES) {
      const name = `${this.#schema}.${table}`
      const found = await source.rows(
        'SELECT attname AS name FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped',
        [name],
      )
      const columns = found.map((row) => row['name'] ?? '')
      if (this.#write === 'append') {
        const wanted = await source.rows(`SELECT ${columns.map((column) => `"${column}"::text`).join(', ')} FROM ${name}`)
        const rows = wanted.map((row) => JSON.stringify(Object.values(row))).sort()
        expect({ table, rows: await replayed(side, name, columns, KEYS[table] ?? []) }).toEqual({ table, rows })
      } else {
        const live = this.#write === 'merge' ? name : `(SELECT * FROM ${name} WHERE _tidemark_deleted_at IS NULL) AS live`
        const compared = await this.#loading.compare(name, { columns, targetTable: live })
        expect({ table, ...compared }).toMatchObject({ table, lost: [], surplus: [] })
      }
    }
  }
}

/** A seed decides by itself where it is played: into Postgres more often, which is quicker. */
const PLACES = [
  { target: 'postgres', write: 'merge', seeds: [0, 1, 2] },
  { target: 'postgres', write: 'append', seeds: [3] },
  { target: 'postgres', write: 'soft-delete', seeds: [4] },
  { target: 'duckdb', write: 'merge', seeds: [5] },
  { target: 'duckdb', write: 'append', seeds: [6] },
  { target: 'duckdb', write: 'soft-delete', seeds: [7] },
] as const

const asked = process.env['TIDEMARK_SEED']
const seeds = asked === undefined ? Array.from({ length: SEEDS }, (_, at) => at + 1) : [Number(asked)]

test.each(PLACES)('into $target by $write', { timeout: 300_000 }, async ({ target, write, seeds: own }) => {
  await using loading = await startLoading({ target, sourceServer: server().url(), pipelines: {} })
  for (const seed of seeds)
    if (own.some((one) => one === seed % 8))
      try {
        await new Play(loading, seed, write).play()
      } catch (error) {
        throw new Error(`TIDEMARK_SEED=${seed}: ${error instanceof Error ? error.message : error}`, { cause: error })
      }
})
