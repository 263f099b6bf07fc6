// Follows partitions of topics from given offsets on, in the order of each. A broker is asked only when `next` is called, and at most one
// answer of each waits: nothing piles up. Always: what is handed out is complete and committed, each record once; a broker that is away
// is waited for, and a gap ends the reader.

import { setTimeout as pause } from 'node:timers/promises'
import { LoadError } from '../../core/errors.ts'
import type { KafkaClient, KafkaTopic } from './client.ts'
import { isPassing, isPassingName, kafkaError } from './errors.ts'
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
}

/** The answer of one broker, or why there is none. */
type Answer = { readonly node: number } & ({ readonly partitions: readonly FetchedPartition[] } | { readonly error: LoadError })

export class TopicReader {
  readonly #client: KafkaClient
  readonly #following: readonly Following[]
  readonly #options: typeof DEFAULTS
  readonly #asked = new Map<number, Promise<Answer>>()
  #lookedAt = Number.NEGATIVE_INFINITY
  #awaySince: number | null = null
  #pauseMs = FIRST_PAUSE_MS
  #ended: LoadError | null = null
  /** Of one partition, while others had records. */
  #failed: unknown = null

  constructor(client: KafkaClient, assigned: readonly AssignedPartition[], options: ReaderOptions = {}) {
    this.#client = client
    this.#following = assigned.map((one) => ({ ...one, next: one.from, leader: -1 }))
    this.#options = { ...DEFAULTS, ...options }
  }

  /**
   * What has come within the time, by partition; nothing where nothing has, or where all is read. Throws `missing-table`, `log-lost`,
   * `log-unavailable`, `log-corrupted`, and `connection-lost` after the patience is over.
   */
  async next(waitMs: number): Promise<readonly PartitionRecords[]> {
    const until = performance.now() + waitMs
    for (;;) {
      if (this.#ended !== null) throw this.#ended
      try {
        const found = await this.#step(Math.max(0, until - performance.now()))
        this.#awaySince = null
        this.#pauseMs = FIRST_PAUSE_MS
        if (found.length > 0 || this.#isDone || performance.now() >= until) return found
      } catch (thrown) {
        if (this.#ended !== null) throw this.#ended
        await this.#backOff(kafkaError(thrown, this.#client.what))
        if (performance.now() >= until) return []
      }
    }
  }

  get #isDone(): boolean {
    return this.#following.every(isRead)
  }

  /** Everything is in the records handed out: nothing has to be told to the broker. */
  close(): void {
    this.#ended ??= new LoadError('stopped', 'The topics are no longer read.')
  }

  async #step(waitMs: number): Promise<readonly PartitionRecords[]> {
    this.#throwFailed()
    if (performance.now() - this.#lookedAt > LOOK_MS) await this.#look()
    const leaders = Map.groupBy(
      this.#following.filter((one) => !isRead(one)),
      ({ leader }) => leader,
    )
    for (const [node, members] of leaders) if (!this.#asked.has(node)) this.#asked.set(node, this.#ask(node, members))
    if (this.#asked.size === 0) return []
    const answer = await within(waitMs, [...this.#asked.values()])
    if (answer === null) return []
    this.#asked.delete(answer.node)
    if ('error' in answer) throw answer.error
    const found: PartitionRecords[] = []
    for (const partition of answer.partitions) {
      try {
        const records = await this.#take(partition)
        if (records !== null) found.push(records)
      } catch (thrown) {
        this.#failed ??= thrown
      }
    }
    // What the other partitions have is handed out before.
    if (found.length === 0) this.#throwFailed()
    return found
  }

  #throwFailed(): void {
    const failed = this.#failed
    this.#failed = null
    if (failed !== null) throw failed
  }

  async #ask(node: number, members: readonly Following[]): Promise<Answer> {
    const { maxBytes, maxPartitionBytes } = this.#options
    const from = members.map(({ topic, partition, next }) => ({ topicId: topic.id, partition, from: next }))
    try {
      return {
        node,
        partitions: fetchedPartitions(await this.#client.fetch(node, from, { waitMs: FETCH_MS, maxBytes, maxPartitionBytes })),
      }
    } catch (thrown) {
      return { node, error: kafkaError(thrown, this.#client.what) }
    }
  }

  async #take(fetched: FetchedPartition): Promise<PartitionRecords | null> {
    const one = this.#following.find(({ topic, partition }) => topic.id === fetched.topicId && partition === fetched.partition)
    if (one === undefined) return null
    if (fetched.errorCode !== 0) {
      await this.#refuse(one, fetched.errorCode)
      return null
    }
    const { records, next } = decodeBatches(fetched.bytes, this.#decoding(one, fetched))
    if (next === one.next) return null
    const { until } = one
    const wanted = until === null || next <= until ? records : records.filter(({ offset }) => offset < until)
    one.next = until !== null && next > until ? until : next
    return { topic: one.topic.name, partition: one.partition, records: wanted, next: one.next, end: fetched.lastStableOffset }
  }

  #decoding(one: Following, { aborted }: FetchedPartition): BatchOptions {
    const { crc32c, compressionsAlgorithmsByBitmask } = this.#client.library
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

  /** Throws what the broker's error means; returns where the same is to be asked of another broker. */
  async #refuse(one: Following, errorCode: number): Promise<void> {
    const { protocolErrorsCodesById } = this.#client.library
    const name = String(protocolErrorsCodesById[errorCode as keyof typeof protocolErrorsCodesById] ?? errorCode)
    this.#lookedAt = Number.NEGATIVE_INFINITY
    if (name === 'OFFSET_OUT_OF_RANGE') await this.#refuseOffset(one)
    else if (name === 'CORRUPT_MESSAGE')
      throw new LoadError(
        'log-corrupted',
        `${describe(this.#client.what, one)}: the broker finds its own file damaged at offset ${one.next}.`,
      )
    // A topic that is gone, or another of its name: the look tells.
    else if (name === 'UNKNOWN_TOPIC_ID' || name === 'UNKNOWN_TOPIC_OR_PARTITION') {
      await this.#look()
      throw lost(this.#client.what, 'The broker does not know its own topic yet.')
    } else if (isPassingName(name)) throw lost(this.#client.what, `The broker says ${name}.`)
    else throw kafkaError({ apiId: name }, this.#client.what)
  }

  async #refuseOffset(one: Following): Promise<void> {
    const range = (await this.#client.ranges([one.topic.name])).get(one.topic.name)
    const [begins, written] = [range?.begins[one.partition], range?.written[one.partition]]
    const place = describe(this.#client.what, one)
    if (begins !== undefined && one.next < begins)
      throw new LoadError('log-lost', `${place} begins at offset ${begins}; what is needed begins at ${one.next}, and was removed.`, {
        hint: 'Nothing was skipped. Load again with `--full-refresh`, and raise `retention.ms` and `retention.bytes` of the topic.',
      })
    if (written !== undefined && one.next > written)
      throw new LoadError('log-lost', `${place} ends at offset ${written}, before ${one.next} which was read already: records are gone.`, {
        hint: 'Nothing was skipped. The topic lost its end, as after an unclean election of a leader. Load again with `--full-refresh`.',
      })
    throw lost(this.#client.what, 'The broker was not yet as far as its topic.')
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
      if (one.leader < 0) throw lost(this.#client.what, `${describe(this.#client.what, one)} has no leader.`)
    }
    this.#lookedAt = performance.now()
  }

  /** Waits before another try; throws where that would not help, or the patience is over. */
  async #backOff(error: LoadError): Promise<void> {
    this.#lookedAt = Number.NEGATIVE_INFINITY
    const now = performance.now()
    this.#awaySince ??= now
    if (!isPassing(error) || now - this.#awaySince > this.#options.patienceMs) {
      this.#ended = error
      throw error
    }
    await pause(this.#pauseMs)
    this.#pauseMs = Math.min(this.#pauseMs * 2, LONGEST_PAUSE_MS)
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
    hint: 'Changes of one row may stand in two partitions now, in no order. Load again with `--full-refresh`.',
  })
}
