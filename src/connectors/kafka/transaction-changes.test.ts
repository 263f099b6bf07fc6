// Topics that are made up: whatever order they are read in, and whatever is written again, what is handed out up to any end is the source
// as it was after one of its commits.

import { describe, expect, test } from 'vitest'
import { Random } from '../../../test/simulate/random.ts'
import { type ChangesChunk, DELETE, TRUNCATE } from '../../core/changes-chunk.ts'
import type { LoadError } from '../../core/errors.ts'
import type { Position } from '../../core/position.ts'
import { DebeziumDecoder } from '../../formats/debezium.ts'
import type { KafkaRecord } from './record-batches.ts'
import type { FollowedTopic } from './topic-changes.ts'
import { parseTopicPlaces, printTopicPlaces } from './topic-position.ts'
import type { PartitionRecords } from './topic-reader.ts'
import { TransactionChanges, type TransactionOptions } from './transaction-changes.ts'

const MODES = {
  decimals: 'string',
  times: 'microseconds',
  binary: 'bytes',
  intervals: 'string',
  hstore: 'json',
  unknownTypes: false,
  failures: 'fail',
} as const
const NAMES = ['a', 'b', 'c']
const TOLD = 'p.transaction'

function followed(name: string, number: number): FollowedTopic {
  const column = (of: string, place: number) => ({ name: of, declared: 'integer', isEnum: false, place, absent: null })
  const columns = [column('id', 0), column('n', 1)]
  const table = { schema: 'public', name, number, width: 2, columns, key: ['id'], wholeBefore: false }
  return {
    name: `p.public.${name}`,
    collection: `public.${name}`,
    number,
    width: 2,
    decoder: () => new DebeziumDecoder(table, { modes: MODES, form: 'envelope' }),
    onUnknown: () => {},
  }
}

interface Change {
  readonly table: string
  readonly op: 'c' | 'u' | 'd'
  readonly id: number
  readonly n: number
}

/** By table and key. */
type Rows = ReadonlyMap<string, number>

/** A connector that writes into topics what a source does. */
class World {
  readonly topics = new Map<string, KafkaRecord[]>()
  /** After each commit, as text. */
  readonly states: string[] = []
  readonly log: { readonly topic: string; readonly value: string; readonly key: string | null }[] = []
  rows = new Map<string, number>()
  #at = 1000
  #txId = 700
  #commit: number | null = null

  write(topic: string, value: string | null, key: string | null = null): void {
    const records = this.topics.get(topic) ?? []
    this.topics.set(topic, records)
    const of = (text: string | null) => (text === null ? null : Buffer.from(text))
    // Offsets are no count: markers and compaction take some.
    records.push({ offset: BigInt(records.length * 2), timestamp: 0, key: of(key), value: of(value), headers: [] })
  }

  /** The log from a place on. */
  emit(from: number, until = this.log.length): void {
    for (const { topic, value, key } of this.log.slice(from, until)) {
      this.write(topic, value, key)
      if (topic !== TOLD && value.includes('"op":"d"')) this.write(topic, null, key)
    }
  }

  #source(table: string, more: object): object {
    return { schema: 'public', table, ts_us: 1_700_000_000_000_000, ...more }
  }

  /** Of the rows as they are; `tables`: those that it comes to. */
  snapshot(until = Number.POSITIVE_INFINITY, marksEnd = true): void {
    this.#at += 10
    let count = 0
    const tables = NAMES.filter((name) => [...this.rows.keys()].some((row) => row.startsWith(`${name}/`)))
    for (const table of tables) {
      const ids = [...this.rows.keys()].filter((row) => row.startsWith(`${table}/`)).map((row) => Number(row.slice(2)))
      for (const [index, id] of ids.entries()) {
        if (count++ >= until) return
        const isEnd = index === ids.length - 1
        const snapshot = !isEnd ? 'true' : marksEnd && table === tables.at(-1) ? 'last' : 'last_in_data_collection'
        const source = this.#source(table, { lsn: this.#at, txId: 5, sequence: `[null,"${this.#at}"]`, snapshot })
        const after = { id, n: this.rows.get(`${table}/${id}`) }
        this.write(`p.public.${table}`, JSON.stringify({ before: null, after, source, op: 'r', transaction: null }), JSON.stringify({ id }))
      }
    }
    this.states.push(textOf(this.rows))
  }

  commit(changes: readonly Change[]): void {
    const txId = ++this.#txId
    const told = (status: string, more: object) =>
      this.log.push({
        topic: TOLD,
        key: `{"id":"${txId}:${this.#at}"}`,
        value: JSON.stringify({ status, id: `${txId}:${this.#at}`, event_count: null, data_collections: null, ts_ms: 1, ...more }),
      })
    told('BEGIN', {})
    const counts = new Map<string, number>()
    for (const [index, { table, op, id, n }] of changes.entries()) {
      // Several changes share a place, as those of a COPY do.
      if (index % 3 === 0) this.#at += 7
      counts.set(table, (counts.get(table) ?? 0) + 1)
      const order = { total_order: index + 1, data_collection_order: counts.get(table) }
      const sequence = this.#commit === null ? `[null,"${this.#at}"]` : `["${this.#commit}","${this.#at}"]`
      const source = this.#source(table, { lsn: this.#at, txId, snapshot: null, sequence })
      const row = { id, n }
      const value = {
        before: op === 'd' ? row : null,
        after: op === 'd' ? null : row,
        source,
        op,
        transaction: { id: `${txId}:${this.#at}`, ...order },
      }
      if (NAMES.includes(table)) {
        this.log.push({ topic: `p.public.${table}`, key: JSON.stringify({ id }), value: JSON.stringify(value) })
        if (op === 'd') this.rows.delete(`${table}/${id}`)
        else this.rows.set(`${table}/${id}`, n)
      }
    }
    this.#at += 9
    this.#commit = this.#at
    const collections = [...counts].map(([table, count]) => ({ data_collection: `public.${table}`, event_count: count }))
    told('END', { event_count: changes.length, data_collections: collections })
    this.states.push(textOf(this.rows))
  }

  end(topic: string): bigint {
    return BigInt((this.topics.get(topic)?.length ?? 0) * 2)
  }

  get head(): Position {
    const places = [TOLD, ...NAMES.map((name) => `p.public.${name}`)].map(
      (topic) => [topic, { id: 'id', partitions: [{ next: this.end(topic), seen: null }] }] as const,
    )
    return printTopicPlaces(new Map(places))
  }

  get beginning(): Position {
    const places = [TOLD, ...NAMES.map((name) => `p.public.${name}`)].map(
      (topic) => [topic, { id: 'id', partitions: [{ next: 0n, seen: null }] }] as const,
    )
    return printTopicPlaces(new Map(places))
  }
}

function textOf(rows: Rows): string {
  return [...rows]
    .map(([row, n]) => `${row}=${n}`)
    .sort()
    .join(' ')
}

/** What a target has: what was committed with its position, and what a transaction has changed since. */
class Model {
  readonly world: World
  rows = new Map<string, number>()
  #open = new Map<string, number>()
  position: Position
  readonly seen: string[] = []

  constructor(world: World) {
    this.world = world
    this.position = world.beginning
  }

  /** Reads topics by `turn`, until the goal is reached; false where `stops` ends it before. */
  async read(turn: (names: readonly string[]) => string, options: TransactionOptions = {}, stops = () => false): Promise<boolean> {
    const from = parseTopicPlaces(this.position, 'p')
    const next = new Map([...from].map(([name, { partitions }]) => [name, partitions[0]?.next ?? 0n]))
    const reader = {
      next: async (_: number, wants: (topic: string, partition: number) => boolean = () => true): Promise<PartitionRecords[]> => {
        const wanted = [...next.keys()].filter((name) => wants(name, 0) && (next.get(name) ?? 0n) < this.world.end(name))
        if (wanted.length === 0) return []
        const topic = turn(wanted)
        const records = (this.world.topics.get(topic) ?? [])
          .filter(({ offset }) => offset >= (next.get(topic) ?? 0n))
          .slice(0, 1 + (topic.length % 3))
        const end = (records.at(-1)?.offset ?? 0n) + 2n
        next.set(topic, end)
        return [{ topic, partition: 0, records, next: end, end: this.world.end(topic) }]
      },
      close: () => {},
    }
    const ends = async () => new Map([...next.keys()].map((name) => [name, this.world.end(name)]))
    const appeared = async () => new Map()
    const stream = new TransactionChanges({ reader, ends, appeared }, NAMES.map(followed), TOLD, from, 'p', {
      quietMs: 5,
      patienceMs: 40,
      ...options,
    })
    this.#open = new Map(this.rows)
    let isOpen = false
    const goal = this.world.head
    for (;;) {
      if (!isOpen && stream.reaches(this.position, goal)) return true
      const chunk = await stream.next(1)
      isOpen ||= chunk.changes.count > 0
      this.#apply(chunk.changes)
      if (chunk.end !== null) {
        if (isOpen) this.seen.push(textOf(this.#open))
        isOpen = false
        this.rows = new Map(this.#open)
        this.position = chunk.end
      }
      stream.recycle(chunk)
      if (stops()) return false
    }
  }

  #apply(chunk: ChangesChunk): void {
    const cell = (at: number) =>
      Number(new TextDecoder().decode(chunk.bytes.subarray(chunk.start[at], (chunk.start[at] as number) + (chunk.length[at] as number))))
    for (let change = 0; change < chunk.count; change++) {
      const table = NAMES[chunk.table[change] as number]
      if (chunk.op[change] === TRUNCATE) {
        for (const row of [...this.#open.keys()]) if (row.startsWith(`${table}/`)) this.#open.delete(row)
      } else if (chunk.op[change] === DELETE) this.#open.delete(`${table}/${cell(chunk.old[change] as number)}`)
      else this.#open.set(`${table}/${cell(chunk.row[change] as number)}`, cell((chunk.row[change] as number) + 1))
    }
  }
}

function inOrder(names: readonly string[]): string {
  return names[0] as string
}

const first = (names: readonly string[]) => (wanted: readonly string[]) =>
  names.map((name) => (name === TOLD ? TOLD : `p.public.${name}`)).find((name) => wanted.includes(name)) ?? inOrder(wanted)

function bank(): World {
  const world = new World()
  for (const table of NAMES) for (let id = 0; id < 4; id++) world.rows.set(`${table}/${id}`, 0)
  return world
}

const move = (from: string, id: number, to: string, other: number, n: number): readonly Change[] => [
  { table: from, op: 'u', id, n: -n },
  { table: to, op: 'u', id: other, n },
]

describe.each([
  ['told first', [TOLD, 'a', 'b', 'c']],
  ['told last', ['c', 'b', 'a', TOLD]],
  ['one table last', ['a', TOLD, 'c', 'b']],
])('%s', (_, names) => {
  test('the snapshot is one, and so is each transaction', async () => {
    const world = bank()
    world.snapshot()
    world.commit(move('a', 1, 'b', 1, 5))
    world.commit([{ table: 'elsewhere', op: 'u', id: 1, n: 1 }])
    world.commit(move('b', 1, 'c', 2, 7))
    world.emit(0)
    const model = new Model(world)
    expect(await model.read(first(names))).toBe(true)
    expect(textOf(model.rows)).toBe(world.states.at(-1))
    expect(model.seen.filter((state) => !world.states.includes(state))).toEqual([])
    expect(model.position).toEqual(expect.objectContaining({ kind: 'log' }))
  })

  test('a transaction that has not ended at the goal is not handed out, and the next run begins with it', async () => {
    const world = bank()
    world.snapshot()
    world.commit(move('a', 1, 'b', 1, 5))
    world.commit(move('a', 2, 'c', 1, 6))
    world.emit(0, world.log.length - 1)
    const model = new Model(world)
    expect(await model.read(first(names))).toBe(true)
    expect(textOf(model.rows)).toBe(world.states[1])
    world.emit(world.log.length - 1)
    expect(await model.read(first(names))).toBe(true)
    expect(textOf(model.rows)).toBe(world.states[2])
  })
})

test('what is missing of a transaction is waited for, and then named', async () => {
  const world = bank()
  world.snapshot()
  world.commit(move('a', 1, 'b', 1, 5))
  for (const { topic, value, key } of world.log) if (topic !== 'p.public.b') world.write(topic, value, key)
  const model = new Model(world)
  await expect(model.read(inOrder)).rejects.toMatchObject({
    code: 'transaction-incomplete',
    message: expect.stringContaining('Transaction 701 of the source has 1 change of public.b; topic p.public.b has 0 of them'),
  })
  expect(textOf(model.rows)).toBe(world.states[0])
})

test('an end that never comes is named too, and so is a snapshot that is not over', async () => {
  const world = bank()
  world.snapshot()
  world.commit(move('a', 1, 'b', 1, 5))
  world.commit(move('a', 1, 'b', 1, 9))
  for (const { topic, value, key } of world.log) if (!value.includes('END')) world.write(topic, value, key)
  const model = new Model(world)
  expect(await model.read(inOrder)).toBe(true)
  await expect(model.read(inOrder, {}, () => false).then(() => waitOn(model))).rejects.toMatchObject({
    code: 'transaction-incomplete',
    message: expect.stringContaining('p.transaction does not say how the transaction ended that is held in p.public.a, p.public.b'),
  })
  const half = bank()
  half.snapshot(6)
  await expect(new Model(half).read(inOrder)).rejects.toMatchObject({
    message: expect.stringContaining('The snapshot of p.public.b is not over'),
  })
})

/** Beyond the goal, as a pipeline does that is followed. */
async function waitOn(model: Model): Promise<void> {
  const { world } = model
  world.write(TOLD, null)
  const all = world.topics.get(TOLD)
  Object.defineProperty(world, 'head', {
    get: () => printTopicPlaces(new Map([[TOLD, { id: 'id', partitions: [{ next: BigInt((all?.length ?? 0) * 2 + 2), seen: null }] }]])),
  })
  await model.read(inOrder)
}

test('a change that was taken out of a topic is a loss', async () => {
  const world = bank()
  world.snapshot()
  world.commit(move('a', 1, 'b', 1, 5))
  world.commit(move('a', 1, 'b', 1, 9))
  for (const [index, { topic, value, key }] of world.log.entries()) if (index !== 2) world.write(topic, value, key)
  const model = new Model(world)
  await expect(model.read(inOrder)).rejects.toMatchObject({
    code: 'log-lost',
    message: 'Transaction 701 of the source has 1 change of public.b; topic p.public.b has 0 of them, and goes on with later ones.',
  } satisfies Partial<LoadError>)
  expect(textOf(model.rows)).toBe(world.states[0])
})

test('a change that does not say of which transaction it is', async () => {
  const world = bank()
  world.commit(move('a', 1, 'b', 1, 5))
  for (const { topic, value, key } of world.log) world.write(topic, value.replace(/"transaction":\{[^}]*\}/, '"transaction":null'), key)
  await expect(new Model(world).read(inOrder)).rejects.toMatchObject({
    code: 'log-unavailable',
    hint: expect.stringContaining('provide.transaction.metadata'),
  })
})

test('what tells of transactions and can not be read', async () => {
  const world = bank()
  world.write(TOLD, '{"status":"END","id":"7","event_count":0,"data_collections":[]}')
  await expect(new Model(world).read(inOrder)).rejects.toMatchObject({
    code: 'bad-message',
    message: expect.stringContaining('p.transaction/0/0'),
  })
})

test('a transaction larger than what is held comes in parts, none of which has an end', async () => {
  const world = bank()
  world.snapshot()
  world.commit(move('a', 1, 'b', 1, 5))
  world.commit(Array.from({ length: 400 }, (_, at) => ({ table: NAMES[at % 2] as string, op: 'u' as const, id: at % 4, n: at })))
  world.commit(move('b', 1, 'c', 2, 7))
  world.emit(0)
  for (const names of [
    [TOLD, 'a', 'b', 'c'],
    ['b', 'a', TOLD, 'c'],
  ]) {
    const model = new Model(world)
    expect(await model.read(first(names), { heldBytes: 4_000, chunkBytes: 1_000 })).toBe(true)
    expect(textOf(model.rows)).toBe(world.states.at(-1))
    expect(model.seen.filter((state) => !world.states.includes(state))).toEqual([])
  }
})

describe('a snapshot that was begun anew', () => {
  test.each([0, 3, 4, 6, 12])('after %i rows', async (rows) => {
    const world = bank()
    world.snapshot(rows)
    const then = world.states.length
    for (const row of ['a/1', 'b/0', 'c/0', 'c/1', 'c/2', 'c/3']) world.rows.delete(row)
    world.snapshot()
    world.commit(move('a', 2, 'b', 1, 5))
    world.emit(0)
    const model = new Model(world)
    expect(await model.read(first(['c', 'a', 'b', TOLD]))).toBe(true)
    expect(textOf(model.rows)).toBe(world.states.at(-1))
    expect(model.seen.filter((state) => !world.states.slice(then).includes(state))).toEqual([])
  })

  test('that finds no row of one table any more', async () => {
    const world = bank()
    world.snapshot(6)
    for (const row of ['b/0', 'b/1', 'b/2', 'b/3']) world.rows.delete(row)
    world.snapshot()
    world.commit(move('a', 2, 'c', 1, 5))
    world.emit(0)
    const model = new Model(world)
    expect(await model.read(first(['a', TOLD, 'b', 'c']))).toBe(true)
    expect(textOf(model.rows)).toBe(textOf(world.rows))
  })

  test('that finds no row any more', async () => {
    const world = bank()
    world.snapshot(6)
    world.rows.clear()
    world.snapshot()
    world.commit([{ table: 'a', op: 'c', id: 9, n: 0 }])
    world.commit([{ table: 'b', op: 'c', id: 9, n: 0 }])
    world.emit(0)
    const model = new Model(world)
    expect(await model.read(inOrder)).toBe(true)
    expect(textOf(model.rows)).toBe('a/9=0 b/9=0')
  })

  test('after a run has taken the whole of the one before', async () => {
    const world = bank()
    world.snapshot()
    const model = new Model(world)
    expect(await model.read(inOrder)).toBe(true)
    expect(textOf(model.rows)).toBe(world.states[0])
    world.rows.delete('a/1')
    world.snapshot(Number.POSITIVE_INFINITY, false)
    expect(await model.read(inOrder)).toBe(true)
    expect(textOf(model.rows)).toBe(world.states[1])
  })
})

const SEEDS =
  process.env['TIDEMARK_SEED'] === undefined ? Array.from({ length: 60 }, (_, seed) => seed) : [Number(process.env['TIDEMARK_SEED'])]

test.each(SEEDS)('seed %i: any order of reading, any crash of connector and run', async (seed) => {
  const random = new Random(seed)
  const world = bank()
  if (random.chance(0.3)) world.snapshot(random.below(12))
  if (random.chance(0.3)) world.rows.delete(`a/${random.below(4)}`)
  const before = world.states.length
  world.snapshot()
  const model = new Model(world)
  let emitted = 0
  for (let round = 0; round < 12; round++) {
    for (let more = random.below(4); more > 0; more--) world.commit(transaction(random, world))
    // A connector that has died goes on from what it had stored last.
    if (random.chance(0.4)) emitted = random.below(emitted + 1)
    const until = emitted + random.below(world.log.length - emitted + 1)
    world.emit(emitted, until)
    emitted = until
    const limits = random.chance(0.3) ? { heldBytes: 1_500, chunkBytes: 600 } : {}
    const turns = random.below(60)
    let left = random.chance(0.5) ? turns : Number.POSITIVE_INFINITY
    await model.read(
      (names) => random.of(names),
      { patienceMs: 5_000, ...limits },
      () => left-- <= 0,
    )
    expect([world.states.slice(before).includes(textOf(model.rows)) || model.rows.size === 0, textOf(model.rows)]).toEqual([
      true,
      textOf(model.rows),
    ])
  }
  world.emit(emitted)
  expect(await model.read((names) => random.of(names))).toBe(true)
  expect(textOf(model.rows)).toBe(textOf(world.rows))
  expect(model.seen.filter((state) => !world.states.slice(before).includes(state))).toEqual([])
})

function transaction(random: Random, world: World): readonly Change[] {
  const changes: Change[] = []
  const there = new Set(world.rows.keys())
  for (let count = 1 + random.below(random.chance(0.1) ? 40 : 6); count > 0; count--) {
    const [table, id] = [random.chance(0.1) ? 'elsewhere' : random.of(NAMES), random.below(6)]
    const row = `${table}/${id}`
    const op = !there.has(row) ? 'c' : random.chance(0.2) ? 'd' : 'u'
    if (op === 'd') there.delete(row)
    else there.add(row)
    changes.push({ table, op, id, n: random.below(1_000_000) })
  }
  return changes
}
