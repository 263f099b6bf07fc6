// A first snapshot that was cut short and begun anew, in whatever order its topics are read: what was read before and is gone leaves no row.

import { describe, expect, test } from 'vitest'
import { apply, bank, followed, move, NAMES, open, textOf, transaction, type World } from '../../../test/kafka/made-up-topics.ts'
import { Random } from '../../../test/simulate/random.ts'
import type { Position } from '../../core/position.ts'
import { TopicChanges } from './topic-changes.ts'
import { parseTopicPlaces } from './topic-position.ts'

class Model {
  readonly world: World
  readonly rows = new Map<string, number>()
  position: Position

  constructor(world: World) {
    this.world = world
    this.position = world.beginning
  }

  async read(random: Random, stops = () => false): Promise<void> {
    const topics = open(this.world, this.position, (names) => random.of(names))
    const stream = new TopicChanges(topics, NAMES.map(followed), parseTopicPlaces(this.position, 'p'), { name: 'p', maxQuarantined: null })
    const goal = this.world.head
    // That of transactions is nobody's here.
    for (let step = 0; step < 10_000 && !stops(); step++) {
      const chunk = await stream.next(0)
      apply(chunk.changes, this.rows)
      if (chunk.end !== null) this.position = chunk.end
      stream.recycle(chunk)
      if (NAMES.every((name) => placeOf(this.position, name) >= placeOf(goal, name))) return
    }
  }
}

function placeOf(position: Position, name: string): bigint {
  return parseTopicPlaces(position, 'p').get(`p.public.${name}`)?.partitions[0]?.next ?? 0n
}

describe.each(Array.from({ length: 8 }, (_, seed) => seed))('read by seed %i', (seed) => {
  test.each([0, 3, 4, 6, 12])('after %i rows', async (rows) => {
    const world = bank()
    world.snapshot(rows)
    for (const row of ['a/1', 'b/0', 'c/0', 'c/1', 'c/2', 'c/3']) world.rows.delete(row)
    world.snapshot()
    world.commit(move('a', 2, 'b', 1, 5))
    world.commit(move('a', 3, 'c', 1, 6))
    world.emit(0)
    const model = new Model(world)
    await model.read(new Random(seed))
    expect(textOf(model.rows)).toBe(textOf(world.rows))
  })

  test('that finds no row any more', async () => {
    const world = bank()
    world.snapshot(6)
    world.rows.clear()
    world.snapshot()
    for (const table of ['a', 'b']) world.commit([{ table, op: 'c', id: 9, n: 0 }])
    world.emit(0)
    const model = new Model(world)
    await model.read(new Random(seed))
    expect(textOf(model.rows)).toBe('a/9=0 b/9=0')
  })

  test('rows of a connector that does not mark them are never taken for void', async () => {
    const world = bank()
    world.marks = false
    world.snapshot()
    world.commit(move('a', 2, 'b', 1, 5))
    world.emit(0)
    const model = new Model(world)
    await model.read(new Random(seed))
    expect(textOf(model.rows)).toBe(textOf(world.rows))
  })

  test('read by many runs, while the connector dies now and then', async () => {
    const random = new Random(seed + 100)
    const world = bank()
    const model = new Model(world)
    const some = async () => {
      let left = random.below(12)
      await model.read(random, () => left-- <= 0)
    }
    for (let again = random.below(3); again > 0; again--) {
      world.snapshot(1 + random.below(11))
      await some()
      for (let gone = random.below(3); gone > 0; gone--) world.rows.delete(`${random.of(NAMES)}/${random.below(4)}`)
    }
    world.snapshot()
    await some()
    let emitted = 0
    for (let round = 0; round < 6; round++) {
      for (let more = random.below(4); more > 0; more--) world.commit(transaction(random, world))
      if (random.chance(0.4)) emitted = random.below(emitted + 1)
      const until = emitted + random.below(world.log.length - emitted + 1)
      world.emit(emitted, until)
      emitted = until
      await some()
    }
    world.emit(emitted)
    await model.read(random)
    expect(textOf(model.rows)).toBe(textOf(world.rows))
  })
})

test('messages that are there already come in one chunk, and when reading ends among them, those before are handed out', async () => {
  const world = bank()
  world.snapshot()
  const [topic, records] = ['p.public.a', world.topics.get('p.public.a') ?? []]
  let asked = 0
  const reader = {
    next: async () => {
      const record = records[asked++]
      if (record === undefined || asked > 3) throw new Error('gone')
      return [{ topic, partition: 0, records: [record], next: record.offset + 2n, end: world.end(topic) }]
    },
    close: () => {},
  }
  const access = { ...open(world, world.beginning, (names) => names[0] as string), reader }
  const from = parseTopicPlaces(world.beginning, 'p')
  const stream = new TopicChanges(access, NAMES.map(followed), from, { name: 'p', maxQuarantined: null })
  const { changes, end, transactions } = await stream.next(0)
  expect([changes.count, transactions, end === null ? null : placeOf(end, 'a')]).toEqual([3, 3, 6n])
  await expect(stream.next(0)).rejects.toThrow('gone')
})
