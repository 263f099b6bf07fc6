// Messages of a pipeline's topics as the transactions that they were at the source: put together again by what the connector tells of
// them, and handed out whole, in the order of their commits. The rows of the first snapshot are one moment, and come before as one
// transaction. What is too large to be held is handed out in parts once its end is known and nothing comes before it; a part has no end.

import type { ChangeStream, LogChunk } from '../../contract/log.ts'
import { ChangesChunk, TRUNCATE } from '../../core/changes-chunk.ts'
import { LoadError } from '../../core/errors.ts'
import type { Position } from '../../core/position.ts'
import { SNAPSHOT } from './emission-guard.ts'
import { type HeldChange, HeldPartition } from './held-partition.ts'
import type { TopicAccess, TopicEnds } from './open-topics.ts'
import { Stall } from './stall.ts'
import type { FollowedTopic } from './topic-changes.ts'
import { coversPlaces, parseTopicPlaces, printTopicPlaces, type TopicPlace, type TopicPlaces } from './topic-position.ts'
import type { PartitionRecords } from './topic-reader.ts'
import { type EndedTransaction, TransactionOrder } from './transaction-order.ts'

export interface TransactionOptions {
  /** How long what is missing of a transaction is waited for. */
  readonly patienceMs?: number
  /** How long nothing has come when a snapshot counts as over that does not say so: its last table has no rows. */
  readonly quietMs?: number
  /** Messages of a topic that are held, in bytes; more are not asked for. */
  readonly heldBytes?: number
  readonly chunkBytes?: number
}

const DEFAULTS = { patienceMs: 60_000, quietMs: 30_000, heldBytes: 16 << 20, chunkBytes: 4 << 20 }
const NOWHERE = { next: 0n, seen: null }
/** Ends of transactions that are held. */
const MOST_WAITING = 100_000

export class TransactionChanges implements ChangeStream {
  readonly #access: TopicAccess
  readonly #topics: readonly FollowedTopic[]
  readonly #pipeline: string
  readonly #from: Map<string, TopicPlace>
  /** The topic of transactions. */
  readonly #told: string
  #order: TransactionOrder
  readonly #partitions: HeldPartition[] = []
  readonly #options: typeof DEFAULTS
  readonly #spare: ChangesChunk[] = []
  /** How many changes have come of transactions that are not handed out, by transaction and table. */
  readonly #arrived = new Map<string, Map<HeldPartition, number>>()
  readonly #stall = new Stall()
  /** Where in the log rows of each table were read, as long as nothing else has come. */
  readonly #readAt: Map<HeldPartition, bigint>
  /** Transactions have come: there is no first snapshot any more. */
  #isStreaming: boolean
  /** Up to here topics have the rows of a snapshot that is over; null while it is not. */
  #ends: TopicEnds | null = null
  /** A transaction, or a snapshot, has been handed out in part. */
  #within = false
  /** How long nothing has come while it was waited for. */
  #quiet = 0
  #last: string

  constructor(
    access: TopicAccess,
    topics: readonly FollowedTopic[],
    told: string,
    from: TopicPlaces,
    pipeline: string,
    options: TransactionOptions = {},
  ) {
    this.#access = access
    this.#topics = topics
    this.#pipeline = pipeline
    this.#from = new Map(from)
    this.#told = told
    this.#options = { ...DEFAULTS, ...options }
    this.#order = new TransactionOrder(told, NOWHERE)
    this.#open(from)
    const places = [...from.values()].flatMap(({ partitions }) => partitions)
    this.#isStreaming = places.some(({ seen }) => seen !== null && seen.commit !== SNAPSHOT)
    this.#readAt = new Map(
      this.#partitions.flatMap((partition) => {
        const at = partition.place().seen?.snapshot ?? null
        return at === null ? [] : [[partition, at] as const]
      }),
    )
    this.#last = textOf(printTopicPlaces(from))
  }

  #open(places: TopicPlaces): void {
    for (const [name, place] of places) {
      this.#from.set(name, place)
      const topic = this.#topics.find((one) => one.name === name)
      const at = place.partitions[0] ?? NOWHERE
      if (name === this.#told) this.#order = new TransactionOrder(name, at)
      else if (topic !== undefined) this.#partitions.push(new HeldPartition(topic, at))
    }
  }

  async next(waitMs: number): Promise<LogChunk> {
    const chunk = this.#spare.pop() ?? new ChangesChunk()
    let transactions = this.#handOut(chunk)
    if (transactions === 0 && chunk.count === 0) {
      this.#open(await this.#access.appeared())
      const began = performance.now()
      const found = await this.#access.reader.next(waitMs, (topic) => this.#isWanted(topic))
      for (const records of found) this.#take(records)
      this.#quiet = found.length > 0 ? 0 : this.#quiet + performance.now() - began
      await this.#lookForEnd()
      transactions = this.#handOut(chunk)
      this.#refuseStall()
    }
    return { changes: chunk, end: this.#within ? null : this.#position(), transactions, committedAt: newest(chunk) }
  }

  #isWanted(topic: string): boolean {
    if (topic === this.#told) return this.#order.waiting < MOST_WAITING
    return (this.#partitions.find((one) => one.topic.name === topic)?.bytes ?? 0) < this.#options.heldBytes
  }

  #take({ topic, records, next }: PartitionRecords): void {
    if (topic === this.#told) this.#order.take(records, next)
    const partition = this.#partitions.find((one) => one.topic.name === topic)
    if (partition === undefined) return
    for (const txId of partition.take(records, next)) {
      const counts = this.#arrived.get(txId) ?? new Map<HeldPartition, number>()
      this.#arrived.set(txId, counts.set(partition, (counts.get(partition) ?? 0) + 1))
    }
  }

  /** Returns how many transactions have ended in the chunk. */
  #handOut(chunk: ChangesChunk): number {
    let ended = 0
    for (;;) {
      this.#handOutRead(chunk)
      if (this.#isFull(chunk) || !this.#isRead()) return ended
      ended += this.#endSnapshot(chunk)
      const { front } = this.#order
      if (front === null || !this.#isWhole(front)) {
        // Without its end it is not known to come soon: until then its topics wait.
        if (front !== null && this.#isTooLarge(front.txId)) {
          this.#within = true
          this.#handOutChanges(front.txId, chunk)
        }
        return ended
      }
      if (!this.#handOutChanges(front.txId, chunk)) {
        this.#within = true
        return ended
      }
      this.#within = false
      this.#arrived.delete(front.txId)
      this.#order.shift()
      ended += 1
    }
  }

  #isFull(chunk: ChangesChunk): boolean {
    return chunk.size >= this.#options.chunkBytes
  }

  /** Rows that were read, and not changed, wait for nothing but what stands before them. */
  #handOutRead(chunk: ChangesChunk): void {
    for (const partition of this.#partitions)
      for (let { head } = partition; head !== undefined && head.txId === null && !this.#isFull(chunk); head = partition.head) {
        partition.shift()
        this.#beginAnew(partition, head, chunk)
        this.#add(partition, head, chunk)
      }
  }

  /** A snapshot that was begun anew takes the place of the one before: its rows may be gone. */
  #beginAnew(partition: HeldPartition, { readAt, place, micros }: HeldChange, chunk: ChangesChunk): void {
    if (readAt === null || this.#isStreaming) return
    const before = this.#readAt.get(partition)
    if (before !== undefined && readAt > before) this.#empty(partition, place, micros, chunk)
    this.#readAt.set(partition, readAt)
    this.#within = true
  }

  #empty({ topic }: HeldPartition, place: string, micros: bigint, chunk: ChangesChunk): void {
    chunk.beginTransaction(place, micros)
    chunk.add(topic.number, TRUNCATE)
  }

  /** What looked like the end may not have been it: then more has come. */
  async #lookForEnd(): Promise<void> {
    if (this.#isStreaming) return
    if (!this.#seemsRead()) this.#ends = null
    else if (this.#ends === null) {
      this.#open(await this.#access.appeared(true))
      this.#ends = await this.#access.ends()
    }
  }

  /** Is the first snapshot over, by what has come? It need not say so itself. */
  #seemsRead(): boolean {
    const { front, begun } = this.#order
    if (front !== null || begun !== null || this.#partitions.some(({ head }) => head !== undefined && head.txId !== null)) return true
    const isQuiet = this.#quiet > this.#options.quietMs
    return this.#within && (isQuiet || this.#partitions.some(({ hasReadEnd }) => hasReadEnd))
  }

  /** Have all rows of the first snapshot come? What follows them in their topic says so too. */
  #isRead(): boolean {
    if (this.#isStreaming) return true
    const ends = this.#ends
    if (ends === null) return false
    const last = this.#lastRead()
    return this.#partitions.every((one) => {
      const isOver = !one.isBeingRead || (this.#readAt.get(one) ?? last) < last
      return isOver && (one.head !== undefined || one.next >= (ends.get(one.topic.name)?.[0] ?? 0n))
    })
  }

  #lastRead(): bigint {
    return [...this.#readAt.values()].reduce((latest, at) => (at > latest ? at : latest), 0n)
  }

  /** Tables of which the last snapshot has read no row have none, whatever one before it has read. It may have found no row at all. */
  #endSnapshot(chunk: ChangesChunk): number {
    if (this.#isStreaming) return 0
    const last = this.#lastRead()
    const isEmpty = [...this.#readAt].some(([{ isCutShort }, at]) => at === last && isCutShort)
    for (const [partition, at] of this.#readAt) {
      if (at === last && !isEmpty) continue
      this.#empty(partition, `${partition.topic.name}/0/${partition.next}`, 0n, chunk)
      this.#readAt.set(partition, last)
    }
    for (const partition of this.#partitions) partition.endRead()
    const { front, begun } = this.#order
    // Until a transaction comes, it may be begun anew once more.
    this.#isStreaming = front !== null || begun !== null || this.#partitions.some(({ head }) => head !== undefined)
    this.#ends = null
    this.#within = false
    return 1
  }

  /** Throws `log-lost` where what is missing can't come any more. */
  #isWhole(transaction: EndedTransaction): boolean {
    for (const { topic, partition, wanted, has } of this.#countsOf(transaction)) {
      if (has >= wanted) continue
      if (partition?.hasPassed(transaction.commit) === true)
        throw new LoadError('log-lost', `${missing(transaction.txId, topic, wanted, has)}, and goes on with later ones.`, {
          hint: 'Nothing was skipped. See whether something takes messages out of the topic, such as a filter among the transforms of the connector; then load again with `--full-refresh`.',
        })
      return false
    }
    return true
  }

  /** Of the tables that are followed: others are not needed. */
  *#countsOf({ txId, counts }: EndedTransaction) {
    const arrived = this.#arrived.get(txId)
    for (const [collection, wanted] of counts) {
      const topic = this.#topics.find((one) => one.collection === collection)
      if (topic === undefined) continue
      // It may have come to be a moment ago.
      const partition = this.#partitions.find((one) => one.topic === topic)
      yield { topic, partition, wanted, has: partition === undefined ? 0 : (arrived?.get(partition) ?? 0) }
    }
  }

  #isTooLarge(txId: string): boolean {
    return this.#partitions.some(({ head, bytes }) => head?.txId === txId && bytes >= this.#options.heldBytes)
  }

  /** All that is held of it, in the order of the source; false where the chunk is full before. */
  #handOutChanges(txId: string, chunk: ChangesChunk): boolean {
    for (;;) {
      let first: HeldPartition | null = null
      for (const partition of this.#partitions)
        if (partition.head?.txId === txId && (first === null || partition.head.order < (first.head?.order ?? 0))) first = partition
      if (first === null) return true
      if (this.#isFull(chunk)) return false
      const head = first.head as HeldChange
      first.shift()
      this.#add(first, head, chunk)
    }
  }

  #add({ topic }: HeldPartition, held: HeldChange, chunk: ChangesChunk): void {
    if (held.change === null) return
    chunk.beginTransaction(held.place, held.micros)
    chunk.appendChange(held.chunk, held.change, topic.width)
  }

  /** Throws `transaction-incomplete` where the same is waited for all too long. */
  #refuseStall(): void {
    const waited = this.#stall.seconds(this.#whatIsWaitedFor())
    if (waited * 1000 <= this.#options.patienceMs) return
    const { front } = this.#order
    const lack = front === null ? undefined : [...this.#countsOf(front)].find(({ wanted, has }) => has < wanted)
    const what =
      lack !== undefined && front !== null
        ? missing(front.txId, lack.topic, lack.wanted, lack.has)
        : `${this.#told} does not say how the transaction ended that is held in ${this.#holding()}`
    throw new LoadError(
      'transaction-incomplete',
      `${this.#isRead() ? what : `The snapshot of ${this.#holding()} is not over`}. Nothing has come for ${Math.round(waited)} s.`,
    )
  }

  #holding(): string {
    const held = this.#partitions.filter(({ head, isBeingRead }) => head !== undefined || isBeingRead)
    return held.map(({ topic }) => topic.name).join(', ')
  }

  /** A text that changes with every step; null where nothing is missing. */
  #whatIsWaitedFor(): string | null {
    const { front } = this.#order
    const isHeld = front !== null || this.#within || this.#partitions.some(({ head }) => head !== undefined)
    return isHeld ? [front?.txId, this.#order.next, ...this.#partitions.map(({ next }) => next)].join(' ') : null
  }

  #position(): Position {
    const now = new Map([[this.#told, this.#order.place()], ...this.#partitions.map((one) => [one.topic.name, one.place()] as const)])
    const places = new Map<string, TopicPlace>()
    for (const [name, place] of this.#from) {
      const own = now.get(name)
      places.set(name, own === undefined ? place : { id: place.id, partitions: [own] })
    }
    const position = printTopicPlaces(places)
    this.#last = textOf(position)
    return position
  }

  recycle({ changes }: LogChunk): void {
    changes.clear()
    this.#spare.push(changes)
  }

  /** The position is in the target, and nothing is kept for it here: topics are kept by their own rules. */
  acknowledge(): void {}

  ping(): void {}

  /** What stands before the goal of a transaction that ends behind it is read, and not handed out. */
  reaches(position: Position, goal: Position): boolean {
    const wanted = parseTopicPlaces(goal, this.#pipeline)
    if (coversPlaces(parseTopicPlaces(position, this.#pipeline), wanted)) return true
    return textOf(position) === this.#last && this.#hasDone(wanted)
  }

  #hasDone(goal: TopicPlaces): boolean {
    if (this.#within || !this.#order.isDone(goal.get(this.#told)?.partitions[0]?.next ?? 0n)) return false
    // What is held is of a transaction that ends behind the goal, and so is whatever stands after it.
    return this.#partitions.every(
      ({ topic, next, head }) => head !== undefined || next >= (goal.get(topic.name)?.partitions[0]?.next ?? 0n),
    )
  }

  async close(): Promise<void> {
    this.#access.reader.close()
  }
}

function missing(txId: string, topic: FollowedTopic, wanted: number, has: number): string {
  return `Transaction ${txId} of the source has ${wanted} ${wanted === 1 ? 'change' : 'changes'} of ${topic.collection}; topic ${topic.name} has ${has} of them`
}

function textOf(position: Position): string {
  return position.kind === 'log' ? position.at : ''
}

/** When the newest of the changes was made, milliseconds from 1970. */
function newest({ transactions }: ChangesChunk): number | null {
  let micros = 0n
  for (const { committedMicros } of transactions) if (committedMicros > micros) micros = committedMicros
  return micros === 0n ? null : Number(micros / 1000n)
}
