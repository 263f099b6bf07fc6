// Follows partitions of topics from given offsets on, in the order of each. A broker is asked only when `next` is called, and at most one
// answer of each waits: nothing piles up. Always: what is handed out is complete and committed, each record once; a broker that is away
// is waited for, and a gap ends the reader.

import { LoadError } from '../../core/errors.ts'
import type { KafkaClient, KafkaTopic } from './client.ts'
import { isPassing, kafkaError } from './errors.ts'
import { type FetchedPartition, fetchedPartitions } from './raw-fetch.ts'
import { type BatchOptions, decodeBatches, type KafkaRecord } from './record-batches.ts'

export interface AssignedPartition {
  /** As it was when the offset was stored. */
  readonly topic: KafkaTopic
  readonly partition: number
  readonly from: bigint
  /** Reading ends before it; null: never. */
  readonly until: bigint | null
}

export interface PartitionRecords {
  readonly topic: string
  readonly partition: number
  readonly records: readonly KafkaRecord[]
  /** Everything before it has been handed out, or is no record. */
  readonly next: bigint
  /** After the last committed record, when the broker answered. */
  readonly end: bigint
}

export interface ReaderOptions {
  /** How long brokers may be away. */
  readonly patienceMs?: number
  readonly maxBytes?: number
  readonly maxPartitionBytes?: number
  /** A larger batch of records is refused. */
  readonly maxBatchBytes?: number
}

const DEFAULTS = { patienceMs: 60_000, maxBytes: 16 << 20, maxPartitionBytes: 4 << 20, maxBatchBytes: 256 << 20 }
/** A fetch waits no longer at the broker: so soon it is known that a topic has another partition. */
const FETCH_MS = 500
const LOOK_MS = 5_000
const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 2_000

interface Following extends AssignedPartition {
  next: bigint
  leader: number
  /** Since when it can't be read; null: it can. */
  awaySince: number | null
  /** Not before. */
  askAt: number
  pauseMs: number
  /** More was there when the broker answered. */
  isBehind: boolean
}

/** The answer of one broker, or why there is none. */
type Answer = { readonly node: number; readonly members: readonly Following[] } & (
  | { readonly partitions: readonly FetchedPartition[] }
  | { readonly error: LoadError }
)

/** What it needs of a client. */
export type FetchingClient = Pick<KafkaClient, 'what' | 'driver' | 'fetch' | 'findTopics' | 'ranges'>

/** What a stream of changes needs of it. */
export type RecordReader = Pick<TopicReader, 'next' | 'close'>

export class TopicReader {
  readonly #client: FetchingClient
  readonly #following: Following[] = []
  readonly #options: typeof DEFAULTS
  readonly #asked = new Map<number, Promise<Answer>>()
  #lookAt = 0
  #ended: LoadError | null = null
  /** Of one partition, while others had records. */
  #failed: LoadError | null = null

  constructor(client: FetchingClient, assigned: readonly AssignedPartition[], options: ReaderOptions = {}) {
    this.#client = client
    this.#options = { ...DEFAULTS, ...options }
    this.assign(assigned)
  }

  /** More partitions, beside those that are read already. */
  assign(assigned: readonly AssignedPartition[]): void {
    for (const one of assigned)
      this.#following.push({ ...one, next: one.from, leader: -1, awaySince: null, askAt: 0, pauseMs: FIRST_PAUSE_MS, isBehind: false })
    this.#lookAt = 0
  }

  /**
   * What has come within the time, by partition; nothing where nothing has, or where all is read. Throws `log-lost`, `log-unavailable`,
   * `log-corrupted`, and `unreachable` or `connection-lost` after the patience is over. Brokers are not asked for partitions that are
   * not wanted now; what was asked before may come.
   */
  async next(waitMs: number, wants: (topic: string, partition: number) => boolean = () => true): Promise<readonly PartitionRecords[]> {
    const until = performance.now() + waitMs
    for (;;) {
      if (this.#ended !== null) throw this.#ended
      try {
        const found = await this.#step(Math.max(0, until - performance.now()), wants)
        if (found.length > 0 || this.#following.every(isRead) || performance.now() >= until) return found
      } catch (thrown) {
        this.#ended ??= kafkaError(thrown, this.#client.what)
      }
    }
  }

  /** Everything is in the records handed out: nothing has to be told to the broker. */
  close(): void {
    this.#ended ??= new LoadError('stopped', 'The topics are no longer read.')
  }

  async #step(waitMs: number, wants: (topic: string, partition: number) => boolean): Promise<readonly PartitionRecords[]> {
    this.#throwFailed()
    const unread = this.#following.filter((one) => !isRead(one))
    if (performance.now() >= this.#lookAt) await this.#look().catch((thrown) => this.#putOff(unread, thrown))
    this.#askFor(unread, wants)
    const now = performance.now()
    const soonest = Math.min(...unread.flatMap(({ askAt }) => (askAt > now ? [askAt - now] : [])))
    const answer = unread.length === 0 ? null : await within(Math.min(waitMs, soonest), [...this.#asked.values()])
    if (answer === null) return []
    const found = await this.#takeAll(answer)
    // The next answer comes while these are written.
    if (found.length > 0 && this.#failed === null)
      this.#askFor(
        unread.filter((one) => !isRead(one) && one.isBehind),
        wants,
      )
    return found
  }

  #askFor(unread: readonly Following[], wants: (topic: string, partition: number) => boolean): void {
    const now = performance.now()
    const leaders = Map.groupBy(
      unread.filter(({ askAt, topic, partition }) => askAt <= now && wants(topic.name, partition)),
      ({ leader }) => leader,
    )
    for (const [node, members] of leaders) if (!this.#asked.has(node)) this.#asked.set(node, this.#ask(node, members))
  }

  async #ask(node: number, members: readonly Following[]): Promise<Answer> {
    const { what } = this.#client
    const { maxBytes, maxPartitionBytes } = this.#options
    if (node < 0) return { node, members, error: lost(what, 'A partition has no leader.') }
    const from = members.map(({ topic, partition, next }) => ({ topicId: topic.id, partition, from: next }))
    try {
      const answer = await this.#client.fetch(node, from, { waitMs: FETCH_MS, maxBytes, maxPartitionBytes })
      return { node, members, partitions: fetchedPartitions(answer) }
    } catch (thrown) {
      return { node, members, error: kafkaError(thrown, what) }
    }
  }

  async #takeAll(answer: Answer): Promise<readonly PartitionRecords[]> {
    this.#asked.delete(answer.node)
    if ('error' in answer) {
      this.#putOff(answer.members, answer.error)
      return []
    }
    const found: PartitionRecords[] = []
    const away = new Set<Following>()
    for (const fetched of answer.partitions) {
      const one = answer.members.find(({ topic, partition }) => topic.id === fetched.topicId && partition === fetched.partition)
      if (one === undefined) continue
      try {
        if (fetched.errorCode !== 0) throw await this.#refusal(one, fetched.errorCode)
        const records = this.#take(one, fetched)
        if (records !== null) found.push(records)
      } catch (thrown) {
        away.add(one)
        try {
          this.#putOff([one], thrown)
        } catch (final) {
          this.#failed ??= kafkaError(final, this.#client.what)
        }
      }
    }
    // A partition without news is not in the answer.
    for (const one of answer.members) if (!away.has(one)) Object.assign(one, { awaySince: null, askAt: 0, pauseMs: FIRST_PAUSE_MS })
    // What the other partitions have is handed out before.
    if (found.length === 0) this.#throwFailed()
    return found
  }

  #throwFailed(): void {
    if (this.#failed !== null) throw this.#failed
  }

  #take(one: Following, fetched: FetchedPartition): PartitionRecords | null {
    const { records, next } = decodeBatches(fetched.bytes, this.#decoding(one, fetched))
    if (next === one.next) return null
    const { until } = one
    const wanted = until === null || next <= until ? records : records.filter(({ offset }) => offset < until)
    one.next = until !== null && next > until ? until : next
    one.isBehind = one.next < fetched.lastStableOffset
    return { topic: one.topic.name, partition: one.partition, records: wanted, next: one.next, end: fetched.lastStableOffset }
  }

  #decoding(one: Following, { aborted }: FetchedPartition): BatchOptions {
    const { crc32c, compressionsAlgorithmsByBitmask } = this.#client.driver
    return {
      what: describe(this.#client.what, one),
      from: one.next,
      aborted,
      maxBatchBytes: this.#options.maxBatchBytes,
      crc32c,
      decompress: (codec) => {
        const algorithm = compressionsAlgorithmsByBitmask[codec]
        return algorithm?.available === true ? (bytes) => algorithm.decompressSync(bytes) : null
      },
    }
  }

  /** What the broker's error means; that of a topic may be said better by a look at it. */
  async #refusal(one: Following, errorCode: number): Promise<LoadError> {
    const { what, driver } = this.#client
    const name: string = driver.protocolErrorsCodesById[errorCode as keyof typeof driver.protocolErrorsCodesById] ?? String(errorCode)
    if (name === 'OFFSET_OUT_OF_RANGE') return this.#offsetRefusal(one)
    if (name === 'CORRUPT_MESSAGE')
      return new LoadError('log-corrupted', `${describe(what, one)}: the broker finds its own file damaged at offset ${one.next}.`)
    if (name !== 'UNKNOWN_TOPIC_ID' && name !== 'UNKNOWN_TOPIC_OR_PARTITION') return kafkaError({ apiId: name }, what)
    await this.#look()
    return lost(what, `The broker does not know topic "${one.topic.name}" yet.`)
  }

  async #offsetRefusal(one: Following): Promise<LoadError> {
    const range = (await this.#client.ranges([one.topic.name])).get(one.topic.name)
    const [begins, written] = [range?.begins[one.partition], range?.written[one.partition]]
    const place = describe(this.#client.what, one)
    if (begins !== undefined && one.next < begins)
      return new LoadError('log-lost', `${place} begins at offset ${begins}; what is needed begins at ${one.next}, and was removed.`, {
        hint: 'Nothing was skipped. Load again with `--full-refresh`, and raise `retention.ms` and `retention.bytes` of the topic.',
      })
    if (written !== undefined && one.next > written)
      return new LoadError('log-lost', `${place} ends at offset ${written}, before ${one.next} which was read already: records are gone.`, {
        hint: 'Nothing was skipped. The topic lost its end, as after an unclean election of a leader. Load again with `--full-refresh`.',
      })
    return lost(this.#client.what, `The broker was not yet as far as topic "${one.topic.name}".`)
  }

  /** Are the topics still those that the offsets belong to? And who leads their partitions? */
  async #look(): Promise<void> {
    const names = [...new Set(this.#following.map(({ topic }) => topic.name))]
    const found = await this.#client.findTopics(names)
    for (const one of this.#following) {
      const now = found.get(one.topic.name)
      if (now === undefined) throw gone(this.#client.what, one.topic.name)
      if (now.id !== one.topic.id) throw madeAgain(this.#client.what, one.topic.name)
      if (now.partitions !== one.topic.partitions) throw repartitioned(this.#client.what, one.topic, now)
      one.leader = now.leaders[one.partition] ?? -1
    }
    this.#lookAt = performance.now() + LOOK_MS
  }

  /** They are asked again after a pause, and after another look; throws where that would not help, or the patience is over. */
  #putOff(members: readonly Following[], thrown: unknown): void {
    const error = kafkaError(thrown, this.#client.what)
    if (!isPassing(error)) throw error
    const now = performance.now()
    for (const one of members) {
      one.awaySince ??= now
      if (now - one.awaySince > this.#options.patienceMs) throw error
      one.askAt = now + one.pauseMs
      one.pauseMs = Math.min(one.pauseMs * 2, LONGEST_PAUSE_MS)
      this.#lookAt = Math.min(this.#lookAt < now ? one.askAt : this.#lookAt, one.askAt)
    }
  }
}

/** The first of them; null where none comes in time. */
async function within<T>(ms: number, promises: readonly Promise<T>[]): Promise<T | null> {
  const { promise, resolve } = Promise.withResolvers<null>()
  const timer = setTimeout(resolve, ms, null)
  try {
    return await Promise.race([...promises, promise])
  } finally {
    clearTimeout(timer)
  }
}

function isRead({ next, until }: Following): boolean {
  return until !== null && next >= until
}

function describe(what: string, { topic, partition }: AssignedPartition): string {
  return `${what}, topic "${topic.name}", partition ${partition}`
}

function lost(what: string, why: string): LoadError {
  return new LoadError('connection-lost', `${what}: ${why}`, { where: what })
}

function gone(what: string, name: string): LoadError {
  return new LoadError('log-lost', `${what}: topic "${name}" was deleted, and with it whatever had not been read.`, {
    where: what,
    hint: 'Nothing was skipped. When the connector has made it again, load again with `--full-refresh`.',
  })
}

function madeAgain(what: string, name: string): LoadError {
  return new LoadError('log-lost', `${what}: topic "${name}" was deleted and made again: its offsets mean something else now.`, {
    where: what,
    hint: 'Nothing was skipped. Load again with `--full-refresh`.',
  })
}

function repartitioned(what: string, then: KafkaTopic, now: KafkaTopic): LoadError {
  return new LoadError('log-lost', `${what}: topic "${now.name}" has ${now.partitions} partitions now, and had ${then.partitions}.`, {
    where: what,
    hint: 'Changes of one row may stand in two partitions now, in no order: to load the topic again would not put them right. Let the connector read its tables anew into other topics (another `topic_prefix`), or make the topic anew.',
  })
}
