// A source and its connector that are made up: what they write into topics is kept as records, in whatever order a test has it written, and
// read, again and again.

import { setTimeout as pause } from 'node:timers/promises'
import type { KafkaRecord } from '../../src/connectors/kafka/record-batches.ts'
import type { FollowedTopic } from '../../src/connectors/kafka/topic-changes.ts'
import { parseTopicPlaces, printTopicPlaces, type TopicPlaces } from '../../src/connectors/kafka/topic-position.ts'
import type { PartitionRecords } from '../../src/connectors/kafka/topic-reader.ts'
import { type ChangesChunk, DELETE, TRUNCATE } from '../../src/core/changes-chunk.ts'
import type { Position } from '../../src/core/position.ts'
import { DebeziumDecoder } from '../../src/formats/debezium.ts'
import type { Random } from '../simulate/random.ts'

const MODES = {
  decimals: 'string',
  times: 'microseconds',
  binary: 'bytes',
  intervals: 'string',
  hstore: 'json',
  unknownTypes: false,
  failures: 'fail',
} as const
export const NAMES = ['a', 'b', 'c']
export const TOLD = 'p.transaction'

export function followed(name: string, number: number): FollowedTopic {
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

export interface Change {
  readonly table: string
  readonly op: 'c' | 'u' | 'd'
  readonly id: number
  readonly n: number
}

/** By table and key. */
export type Rows = ReadonlyMap<string, number>

/** A connector that writes into topics what a source does. */
export class World {
  readonly topics = new Map<string, KafkaRecord[]>()
  /** After each commit, as text. */
  readonly states: string[] = []
  readonly log: { readonly topic: string; readonly value: string; readonly key: string | null }[] = []
  rows = new Map<string, number>()
  /** Where tables begin and end is said of rows that are read. */
  marks = true
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
        const snapshot = !isEnd
          ? index === 0
            ? 'first_in_data_collection'
            : 'true'
          : marksEnd && table === tables.at(-1)
            ? 'last'
            : 'last_in_data_collection'
        const source = this.#source(table, {
          lsn: this.#at,
          txId: 5,
          sequence: `[null,"${this.#at}"]`,
          snapshot: this.marks ? snapshot : 'true',
        })
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

export function textOf(rows: Rows): string {
  return [...rows]
    .map(([row, n]) => `${row}=${n}`)
    .sort()
    .join(' ')
}

export function inOrder(names: readonly string[]): string {
  return names[0] as string
}

export const first = (names: readonly string[]) => (wanted: readonly string[]) =>
  names.map((name) => (name === TOLD ? TOLD : `p.public.${name}`)).find((name) => wanted.includes(name)) ?? inOrder(wanted)

export function bank(): World {
  const world = new World()
  for (const table of NAMES) for (let id = 0; id < 4; id++) world.rows.set(`${table}/${id}`, 0)
  return world
}

export const move = (from: string, id: number, to: string, other: number, n: number): readonly Change[] => [
  { table: from, op: 'u', id, n: -n },
  { table: to, op: 'u', id: other, n },
]

export function transaction(random: Random, world: World): readonly Change[] {
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

export interface MadeUpTopics {
  readonly reader: {
    next(waitMs: number, wants?: (topic: string, partition: number) => boolean): Promise<PartitionRecords[]>
    close(): void
  }
  readonly ends: () => Promise<ReadonlyMap<string, readonly bigint[]>>
  readonly appeared: () => Promise<TopicPlaces>
}

/** All topics from a position on, a few records at a time, by turns. */
export function open(world: World, position: Position, turn: (names: readonly string[]) => string): MadeUpTopics {
  const next = new Map([...parseTopicPlaces(position, 'p')].map(([name, { partitions }]) => [name, partitions[0]?.next ?? 0n]))
  return {
    reader: {
      next: async (waitMs, wants = () => true) => {
        const wanted = [...next.keys()].filter((name) => wants(name, 0) && (next.get(name) ?? 0n) < world.end(name))
        if (wanted.length === 0) {
          await pause(waitMs)
          return []
        }
        const topic = turn(wanted)
        const from = next.get(topic) ?? 0n
        const records = (world.topics.get(topic) ?? []).filter(({ offset }) => offset >= from).slice(0, 1 + (topic.length % 3))
        const end = (records.at(-1)?.offset ?? 0n) + 2n
        next.set(topic, end)
        return [{ topic, partition: 0, records, next: end, end: world.end(topic) }]
      },
      close: () => {},
    },
    ends: async () => new Map([...next.keys()].map((name) => [name, [world.end(name)]])),
    appeared: async () => new Map(),
  }
}

/** Carries out the changes of a chunk on rows. */
export function apply(chunk: ChangesChunk, rows: Map<string, number>): void {
  const cell = (at: number) =>
    Number(new TextDecoder().decode(chunk.bytes.subarray(chunk.start[at], (chunk.start[at] as number) + (chunk.length[at] as number))))
  for (let change = 0; change < chunk.count; change++) {
    const table = NAMES[chunk.table[change] as number]
    if (chunk.op[change] === TRUNCATE) {
      for (const row of [...rows.keys()]) if (row.startsWith(`${table}/`)) rows.delete(row)
    } else if (chunk.op[change] === DELETE) rows.delete(`${table}/${cell(chunk.old[change] as number)}`)
    else rows.set(`${table}/${cell(chunk.row[change] as number)}`, cell((chunk.row[change] as number) + 1))
  }
}
