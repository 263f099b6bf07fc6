// Hundreds of connections cut while a pipeline follows: after COMMIT was sent to the target, so that nobody knows whether it was done, and
// anywhere in the stream of the log. Each transaction adds one number to two lists: what is lost or doubled shows in them.

import { expect, test } from 'vitest'
import type { OpenProject } from '../../../src/project/open-project.ts'
import { type FaultProxy, startFaultProxy } from '../../../src/testing/fault-proxy.ts'
import type { FreshDatabase } from '../../servers/fresh-database.ts'
import type { Loading } from '../../servers/loading.ts'
import { Random } from '../../simulate/random.ts'
import { startTables, useOwnServer } from '../following.ts'

const server = useOwnServer()

const CUTS = 250
const MAKE = `CREATE TABLE lists (id int PRIMARY KEY, list text NOT NULL); INSERT INTO lists SELECT i, '0' FROM generate_series(1, 6) AS i`

/** Adds the next number to two of the lists, in one transaction, until it is stopped. */
class Appender {
  readonly #source: FreshDatabase
  readonly #random = new Random(1)
  #number = 0
  #stopped = false
  #done: Promise<void> | null = null

  constructor(source: FreshDatabase) {
    this.#source = source
  }

  start(): void {
    this.#done = this.#write()
  }

  async #write(): Promise<void> {
    const client = await this.#source.connect()
    while (!this.#stopped) {
      const id = 1 + this.#random.below(3)
      await client.query(`UPDATE lists SET list = list || ',${++this.#number}' WHERE id IN (${id}, ${id + 3})`)
      await new Promise((resolve) => setTimeout(resolve, 4))
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#done
  }
}

interface Proxied extends AsyncDisposable {
  readonly loading: Loading
  readonly toSource: FaultProxy
  readonly toTarget: FaultProxy
}

async function startProxied(write: string): Promise<Proxied> {
  const { port } = server()
  const [toSource, toTarget] = [await startFaultProxy({ port }), await startFaultProxy({ port })]
  const options = {
    targetServer: server().url(),
    sourceUrl: (url: string) => toSource.url(url),
    targetUrl: (url: string) => toTarget.url(url),
  }
  const loading = await startTables(MAKE, ['public.lists'], options, { write })
  return {
    loading,
    toSource,
    toTarget,
    async [Symbol.asyncDispose]() {
      await loading[Symbol.asyncDispose]()
      await Promise.all([toSource.close(), toTarget.close()])
    },
  }
}

/** Follows until so many cuts have been made; every end of it is one that was made here. */
async function followCut({ loading, toSource, toTarget }: Proxied, between: () => Promise<void>): Promise<void> {
  await using project: OpenProject = await loading.open({ settings: { retries: 0 } })
  const random = new Random(2)
  while (toSource.fired + toTarget.fired < CUTS) {
    const before = toSource.fired + toTarget.fired
    const what = random.of(['answer', 'answer', 'request'] as const)
    if (random.chance(0.75)) toTarget.set({ kind: 'lose-commit', what, times: 1 })
    else toSource.set({ kind: 'cut', direction: 'to-client', afterBytes: 3_000 + random.below(6_000), reset: random.chance(0.5), times: 1 })
    const stop = new AbortController()
    const patience = setTimeout(() => stop.abort(), 5_000)
    const { pipelines } = await project.run([], { follows: true, signal: stop.signal })
    clearTimeout(patience)
    toSource.set()
    toTarget.set()
    if (toSource.fired + toTarget.fired > before)
      expect(['connection-lost', 'unreachable', 'try-again']).toContain(pipelines[0]?.error?.code)
    await between()
  }
}

const numbersOf = (list: string | null | undefined): readonly string[] => (list ?? '').split(',')

test(`append: of ${CUTS} cuts none loses a change or doubles one`, { timeout: 300_000 }, async () => {
  await using proxied = await startProxied('append')
  const { loading } = proxied
  expect((await loading.run()).error).toBeNull()
  const appender = new Appender(loading.source)
  appender.start()
  await followCut(proxied, async () => {})
  await appender.stop()
  expect((await loading.run({}, { retries: 5 })).error).toBeNull()
  const history = await loading.target.rows(
    `SELECT id, list, _tidemark_unchanged AS lacks FROM lists ORDER BY id, _tidemark_position::pg_lsn, _tidemark_ordinal`,
  )
  const versions = Map.groupBy(history, ({ id }) => id)
  for (const { id, list } of await loading.source.rows('SELECT id, list FROM lists')) {
    const numbers = numbersOf(list)
    const wanted = numbers.map((_, at) => numbers.slice(0, at + 1).join(','))
    expect({ id, versions: versions.get(id)?.map((row) => row['list']) }).toEqual({ id, versions: wanted })
  }
})

test(`merge: during ${CUTS} cuts every list that is seen begins the one at the end, and two grow together`, {
  timeout: 300_000,
}, async () => {
  await using proxied = await startProxied('merge')
  const { loading } = proxied
  expect((await loading.run()).error).toBeNull()
  const appender = new Appender(loading.source)
  appender.start()
  const seen: (readonly { id: string; list: string }[])[] = []
  await followCut(proxied, async () => {
    seen.push((await loading.target.rows('SELECT id, list FROM lists ORDER BY id')) as { id: string; list: string }[])
  })
  await appender.stop()
  expect((await loading.run({}, { retries: 5 })).error).toBeNull()
  expect(await loading.compare('lists', { columns: ['id', 'list'] })).toMatchObject({ lost: [], surplus: [], rows: 6 })
  const last = new Map((await loading.source.rows('SELECT id, list FROM lists')).map(({ id, list }) => [id, numbersOf(list)]))
  let length = 0
  for (const rows of seen) {
    for (const { id, list } of rows) {
      const numbers = numbersOf(list)
      expect(last.get(id)?.slice(0, numbers.length)).toEqual(numbers)
      expect(list).toBe(rows[(Number(id) - 1 + 3) % 6]?.list)
    }
    const now = rows.reduce((sum, { list }) => sum + numbersOf(list).length, 0)
    expect(now).toBeGreaterThanOrEqual(length)
    length = now
  }
  expect(length).toBeGreaterThan(CUTS)
})
