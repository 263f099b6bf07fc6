// A connector that writes a table's changes into a topic, dies and writes some of them again; and a target that reads it, dies too, and
// must have the rows of the source whenever it has read all. Decoder, guard and stream are the real ones; bugs are wrapped around them.

import type { KafkaRecord } from '../../src/connectors/kafka/record-batches.ts'
import { type FollowedTopic, type MessageDecoder, TopicChanges } from '../../src/connectors/kafka/topic-changes.ts'
import { parseTopicPlaces, printTopicPlaces } from '../../src/connectors/kafka/topic-position.ts'
import { type ChangesChunk, DELETE, NONE, UNCHANGED } from '../../src/core/changes-chunk.ts'
import type { Position } from '../../src/core/position.ts'
import { DebeziumDecoder } from '../../src/formats/debezium.ts'
import { Random } from './random.ts'

export interface TopicBug {
  readonly name: string
  readonly decoder?: (real: MessageDecoder) => MessageDecoder
  /** What is stored of a position, when the topic ends there. */
  readonly stores?: (end: Position, head: Position) => Position
  /** A target that dies has the position already. */
  readonly positionFirst?: boolean
  /** Where an offset is gone, it is read on from the end. */
  readonly latest?: boolean
}

type Message = Pick<KafkaRecord, 'key' | 'value' | 'headers'>

const TOPIC = 'p.public.a'
const UNAVAILABLE = '__debezium_unavailable_value'
const MODES = { decimals: 'string', times: 'microseconds', binary: 'bytes', intervals: 'string', hstore: 'json' } as const
const COLUMNS = ['bigint', 'bigint', 'text'].map((declared, place) => {
  return { name: ['id', 'n', 'note'][place] ?? '', declared, isEnum: false, place, absent: null }
})

class Source {
  readonly rows = new Map<number, readonly [n: bigint, note: string]>()
  /** All that the connector writes when it does not die; what is of one change is written together. */
  readonly log: (readonly Message[])[] = []
  /** The rows after so many changes. */
  readonly states = ['']
  /** Places grow a digit while they are read. */
  #at = 960

  change(random: Random): void {
    const id = random.below(6)
    const row = this.rows.get(id)
    const other = random.below(6)
    const n = 9_007_199_254_740_000n + BigInt(random.below(3000))
    const what = random.below(4)
    if (row === undefined) this.#write(id, [n, `note ${n}`], 'c')
    else if (what === 0) this.#delete(id)
    else if (what === 1 && !this.rows.has(other)) this.#move(id, other, [n, row[1]], random.chance(0.5) ? row[1] : UNAVAILABLE)
    else this.#write(id, [n, row[1]], 'u', UNAVAILABLE)
    this.states.push(textOf(this.rows))
  }

  #event(op: string, after: object | null, before: object | null, id: number, headers: Message['headers'] = [], order = 1): Message {
    const source = { schema: 'public', table: 'a', ts_us: 1, snapshot: null, lsn: this.#at, sequence: `["${this.#at - 1}","${this.#at}"]` }
    const transaction = { id: `${this.#at}:${this.#at}`, total_order: order, data_collection_order: order }
    const text = JSON.stringify({ before, after, source, op, transaction }).replaceAll(/"(\d{16})"/g, '$1')
    return { key: keyOf(id), value: Buffer.from(text), headers }
  }

  #write(id: number, [n, note]: readonly [bigint, string], op: string, sent = note): void {
    this.#at += 3
    this.rows.set(id, [n, note])
    this.log.push([this.#event(op, { id, n: String(n), note: sent }, null, id)])
  }

  #delete(id: number): void {
    this.#at += 3
    this.rows.delete(id)
    this.log.push([this.#event('d', null, { id, n: 0, note: '' }, id), { key: keyOf(id), value: null, headers: [] }])
  }

  #move(id: number, to: number, [n, note]: readonly [bigint, string], sent: string): void {
    this.#at += 3
    this.rows.delete(id)
    this.rows.set(to, [n, note])
    const gone = [['__debezium.newkey', keyOf(to)]] as const
    this.log.push([
      this.#event('d', null, { id, n: 0, note: '' }, id, gone),
      { key: keyOf(id), value: null, headers: gone },
      this.#event('c', { id: to, n: String(n), note: sent }, null, to, [['__debezium.oldkey', keyOf(id)]], 2),
    ])
  }
}

class Topic {
  readonly records: KafkaRecord[] = []
  /** Records before it were removed. */
  begin = 0

  write(messages: readonly Message[]): void {
    for (const message of messages) this.records.push({ ...message, offset: BigInt(this.records.length), timestamp: 0 })
  }

  position(next: number): Position {
    return printTopicPlaces(new Map([[TOPIC, { id: 'id', partitions: [{ next: BigInt(next), seen: null }] }]]))
  }
}

/** Throws where a target that has read all has other rows than the source. */
export async function simulateTopics(seed: number, bug: TopicBug | null): Promise<void> {
  const random = new Random(seed)
  const [source, topic] = [new Source(), new Topic()]
  const target = new Target(bug, topic.position(0))
  let [written, furthest] = [0, 0]
  for (let round = 0; round < 8; round++) {
    for (let more = 1 + random.below(6); more > 0; more--) source.change(random)
    if (random.chance(0.5)) written = random.below(written + 1)
    const until = written + random.below(source.log.length - written + 1)
    topic.write(source.log.slice(written, until).flat())
    written = until
    furthest = Math.max(furthest, written)
    if (random.chance(0.1)) topic.begin = random.below(topic.records.length + 1)
    const isLost = await target.read(topic, random)
    if (isLost) return
    const [found, wanted] = [textOf(target.rows), source.states[furthest]]
    if (found !== wanted) throw new Error(`round ${round}: the source has ${wanted}; the target has ${found}`)
  }
}

class Target {
  rows = new Map<number, readonly [n: bigint, note: string]>()
  position: Position
  readonly #bug: TopicBug | null

  constructor(bug: TopicBug | null, position: Position) {
    this.#bug = bug
    this.position = position
  }

  /** Until the topic's end, dying now and then; true where what is needed was removed, which it says. */
  async read(topic: Topic, random: Random): Promise<boolean> {
    for (;;) {
      const next = Number(this.#next())
      if (next >= topic.records.length) return false
      if (next < topic.begin) {
        if (this.#bug?.latest !== true) return true
        this.position = topic.position(topic.records.length)
        return false
      }
      const stream = this.#open(topic, random)
      for (let chunks = 1 + random.below(6); chunks > 0 && this.#next() < topic.records.length; chunks--) {
        const { changes, end } = await stream.next(0)
        const stored = end === null ? this.position : (this.#bug?.stores?.(end, topic.position(topic.records.length)) ?? end)
        const dies = random.chance(0.2)
        if (!dies || this.#bug?.positionFirst === true) this.position = stored
        if (dies) break
        apply(changes, this.rows)
      }
    }
  }

  #next(): bigint {
    return parseTopicPlaces(this.position, 'p').get(TOPIC)?.partitions[0]?.next ?? 0n
  }

  #open(topic: Topic, random: Random): TopicChanges {
    let next = Number(this.#next())
    const reader = {
      next: async () => {
        const records = topic.records.slice(next, next + 1 + random.below(3))
        next += records.length
        // Each answer becomes a chunk: so it can die anywhere.
        return records.length === 0 ? [] : [{ topic: TOPIC, partition: 0, records, next: BigInt(next), end: BigInt(next) }]
      },
      close: () => {},
    }
    const access = { reader, appeared: async () => new Map(), ends: async () => new Map([[TOPIC, [BigInt(topic.records.length)]]]) }
    return new TopicChanges(access, [followed(this.#bug)], parseTopicPlaces(this.position, 'p'), { name: 'p', maxQuarantined: null })
  }
}

function followed(bug: TopicBug | null): FollowedTopic {
  const table = { schema: 'public', name: 'a', number: 0, width: 3, columns: COLUMNS, key: ['id'], wholeBefore: false }
  const real = () => new DebeziumDecoder(table, { modes: { ...MODES, unknownTypes: false, failures: 'fail' }, form: 'envelope' })
  return { name: TOPIC, collection: 'public.a', number: 0, width: 3, decoder: () => bug?.decoder?.(real()) ?? real(), onUnknown: () => {} }
}

function keyOf(id: number): Buffer {
  return Buffer.from(JSON.stringify({ id }))
}

function textOf(rows: Source['rows']): string {
  return [...rows]
    .map(([id, [n, note]]) => `${id}=${n}/${note}`)
    .sort()
    .join(' ')
}

function apply(chunk: ChangesChunk, rows: Source['rows'] & Map<number, readonly [bigint, string]>): void {
  const cell = (at: number): string | null =>
    (chunk.length[at] as number) === UNCHANGED
      ? null
      : new TextDecoder().decode(chunk.bytes.subarray(chunk.start[at], (chunk.start[at] as number) + (chunk.length[at] as number)))
  for (let change = 0; change < chunk.count; change++) {
    const [row, old] = [chunk.row[change] as number, chunk.old[change] as number]
    const before = Number(cell(old === NONE ? row : old))
    const had = rows.get(before)
    if (old !== NONE) rows.delete(before)
    if (chunk.op[change] !== DELETE) rows.set(Number(cell(row)), [BigInt(cell(row + 1) ?? had?.[0] ?? 0), cell(row + 2) ?? had?.[1] ?? ''])
  }
}
