// Topics that are made up: whatever order they are read in, and whatever is written again, what is handed out up to any end is the source
// as it was after one of its commits.

import { describe, expect, test } from 'vitest'
import {
  apply,
  bank,
  first,
  followed,
  inOrder,
  move,
  NAMES,
  open,
  TOLD,
  textOf,
  transaction,
  type World,
} from '../../../test/kafka/made-up-topics.ts'
import { Random } from '../../../test/simulate/random.ts'
import type { LoadError } from '../../core/errors.ts'
import type { Position } from '../../core/position.ts'
import { parseTopicPlaces, printTopicPlaces } from './topic-position.ts'
import { TransactionChanges, type TransactionOptions } from './transaction-changes.ts'

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
    const topics = open(this.world, this.position, turn)
    const stream = new TransactionChanges(topics, NAMES.map(followed), TOLD, from, 'p', { quietMs: 5, patienceMs: 40, ...options })
    this.#open = new Map(this.rows)
    let isOpen = false
    const goal = this.world.head
    for (;;) {
      if (!isOpen && stream.reaches(this.position, goal)) return true
      const chunk = await stream.next(1)
      isOpen ||= chunk.changes.count > 0
      apply(chunk.changes, this.#open)
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
}

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

test('a pause in the middle of the snapshot is not its end, though the rest of the table comes after it', async () => {
  const world = bank()
  world.snapshot()
  const all = [...(world.topics.get('p.public.a') ?? [])]
  const others = ['p.public.b', 'p.public.c'].map((name) => [name, world.topics.get(name) ?? []] as const)
  world.topics.set('p.public.a', all.slice(0, 2))
  for (const [name] of others) world.topics.delete(name)
  const model = new Model(world)
  let step = 0
  const began = performance.now()
  await model.read(inOrder, { quietMs: 20, patienceMs: 5_000 }, () => {
    step += 1
    // After a pause come the other rows of the table, and a moment later those of the next ones.
    if (performance.now() - began > 60) world.topics.set('p.public.a', all)
    if (performance.now() - began > 70) for (const [name, records] of others) world.topics.set(name, records)
    return performance.now() - began > 1_000
  })
  expect(step).toBeGreaterThan(3)
  expect(model.seen).toEqual([world.states[0]])
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
