// START_REPLICATION on a connection of its own: messages are taken from the socket, decoded into a chunk at once, and the server is told
// how far they are safe. The socket is read no further while a full chunk waits; the server is still told that somebody is there.
// Transactions that come before they are committed are kept on disk, and take the socket's place when their commit comes.
// States: starting → streaming → ended (by an error, or closed).

import type { Connection } from 'pg'
import { ChangesChunk, type Mark } from '../../core/changes-chunk.ts'
import { LoadError } from '../../core/errors.ts'
import { EPOCH_MICROS, PgoutputDecoder, type Relation, type RelationTarget } from '../../formats/pgoutput.ts'
import { StreamedPieces } from '../../formats/pgoutput-streams.ts'
import { logError } from './errors.ts'
import { printLsn } from './lsn.ts'
import type { Session } from './session.ts'
import { SocketQuery } from './socket-query.ts'
import { Spool, type SpoolFile } from './spool.ts'

const COPY_DATA = 0x64
const COPY_DONE = 0x63
const COPY_BOTH_RESPONSE = 0x57
const ERROR_RESPONSE = 0x45
const XLOG_DATA = 0x77
const KEEPALIVE = 0x6b
/** 'w', start, end and time stand before the message itself. */
const XLOG_HEADER_BYTES = 25
/** Well below wal_sender_timeout, whose default is a minute and which nobody sets below seconds. */
const STATUS_MS = 2_000
/** Of a large transaction this much is decoded in one go. */
const REPLAYED_AT_ONCE = 512 * 1024

export interface StreamOptions {
  readonly slot: string
  readonly publication: string
  readonly from: bigint
  /** Transactions that end after this position are left alone; null: none are. */
  readonly until: bigint | null
  readonly binary: boolean
  /** Large transactions come while they are open. */
  readonly streams: boolean
  /** A chunk is handed out when it has so many bytes. */
  readonly chunkBytes: number
  /** `commit`: where the transaction ends in which the relation is described. */
  relation(relation: Relation, commit: bigint): RelationTarget | null
}

/** Changes up to a position that lies between two transactions; `end` null: the chunk ends inside of a transaction. */
export interface StreamedChunk {
  readonly changes: ChangesChunk
  readonly end: bigint | null
  /** When the last transaction was committed, by the source's clock; null where there is none. */
  readonly committedMicros: bigint | null
  readonly transactions: number
}

export class ReplicationStream extends SocketQuery {
  protected readonly sql: string
  readonly #session: Session
  readonly #options: StreamOptions
  readonly #decoder: PgoutputDecoder
  readonly #spool = new Spool()
  readonly #pieces: StreamedPieces
  /** A large transaction that is committed: what follows it stays in `#rest` until it is decoded. */
  #replay: { readonly file: SpoolFile; readonly end: bigint } | null = null
  #isPumping = false
  /** The beginning of a message whose rest has not come, and of how many bytes it needs to be. */
  #rest: Buffer[] = []
  #restBytes = 0
  #restNeeds = 0
  #chunk = new ChangesChunk()
  #spare: ChangesChunk | null = new ChangesChunk()
  /** After the last whole transaction of the chunk. */
  #whole: Mark = { count: 0, cells: 0, used: 0 }
  #wholeEnd: bigint
  #committed: bigint | null = null
  #transactions = 0
  #inside = false
  /** What comes now lies after `until`. */
  #isOver = false
  #commitMicros = 0n
  #commitLsn = 0n
  /** How far the server has sent, and how far the target has committed. */
  #sent: bigint
  #safe: bigint
  /** The server's clock when it last said how far it is. */
  #saidMicros: bigint | null = null
  #error: unknown = null
  #ended = false
  #wake: (() => void) | null = null
  #timer: NodeJS.Timeout | null = null
  readonly #started = Promise.withResolvers<void>()

  constructor(session: Session, options: StreamOptions) {
    super()
    const { slot, publication, from, binary, streams } = options
    const quoted = (name: string): string => name.replaceAll("'", "''").replaceAll('"', '""')
    const settings = [
      `proto_version '${streams ? 2 : 1}'`,
      `publication_names '"${quoted(publication)}"'`,
      ...(binary ? [`binary 'true'`] : []),
      ...(streams ? [`streaming 'on'`] : []),
    ]
    this.sql = `START_REPLICATION SLOT "${quoted(slot)}" LOGICAL ${printLsn(from)} (${settings.join(', ')})`
    this.#session = session
    this.#options = options
    this.#sent = options.from
    this.#safe = options.from
    this.#wholeEnd = options.from
    this.#started.promise.catch(() => {})
    const receiver = {
      relation: (relation: Relation) => options.relation(relation, this.#commitLsn),
      begin: (lsn: bigint, micros: bigint) => this.#beginTransaction(lsn, micros),
      commit: (end: bigint) => this.#endTransaction(end),
      message: () => {},
    }
    this.#decoder = new PgoutputDecoder(receiver, () => this.#chunk)
    this.#pieces = new StreamedPieces({
      keep: (top, xid, kind, bytes, at, to) => this.#spool.keep(top, xid, kind, bytes, at, to),
      pause: () => this.#spool.pause(),
      abort: (top, xid) => this.#spool.abort(top, xid),
      commit: (top, lsn, end, micros) => this.#commitKept(top, lsn, end, micros),
    })
  }

  #beginTransaction(lsn: bigint, micros: bigint): void {
    const { until } = this.#options
    this.#inside = true
    this.#commitLsn = lsn
    if (until !== null && lsn >= until) this.#isOver = true
    this.#commitMicros = micros
    this.#chunk.beginTransaction(printLsn(lsn), micros)
  }

  #endTransaction(end: bigint): void {
    const { from, until } = this.#options
    this.#inside = false
    // Resumed in front of what the target has: the server sends it again only where the slot lags behind.
    if (end <= from) {
      this.#dropTransaction()
      return
    }
    if (until !== null && end > until) {
      this.#dropTransaction()
      this.#isOver = true
      return
    }
    this.#whole = this.#chunk.end()
    this.#wholeEnd = end
    this.#committed = this.#commitMicros
    this.#transactions += 1
  }

  #commitKept(top: number, lsn: bigint, end: bigint, micros: bigint): void {
    const file = this.#spool.take(top)
    this.#beginTransaction(lsn, micros)
    // One that the target has already, or is not to get, is not even read.
    if (file !== null && !this.#isOver && end > this.#options.from) this.#replay = { file, end }
    else {
      file?.close()
      this.#endTransaction(end)
    }
  }

  /** Decodes what was kept, until the chunk is full; then what came after it. */
  readonly #pump = (): void => {
    const replay = this.#replay
    this.#isPumping = false
    if (replay === null || this.#ended || this.#isFull()) return
    try {
      const { file, end } = replay
      for (let left = REPLAYED_AT_ONCE; left > 0 && !this.#isFull(); left -= file.to - file.from) {
        if (!file.next()) {
          this.#replay = null
          file.close()
          this.#endTransaction(end)
          this.#takeRest()
          break
        }
        // Descriptions of tables too: the server sends them again after every part that is rolled back.
        if (!file.aborted.has(file.xid)) this.#decoder.decode(file.bytes, file.from, file.to)
      }
    } catch (error) {
      this.#fail(error)
      this.#session.destroy()
    }
    this.#goOn()
  }

  #isFull(): boolean {
    return this.#chunk.size > this.#options.chunkBytes
  }

  /** Wakes who waits for a chunk, and gets more where there is room. */
  #goOn(): void {
    if (this.#whole.count > 0 || this.#isFull()) this.#signal()
    if (this.#isFull() || this.#replay !== null) this.stream?.pause()
    else this.stream?.resume()
    if (this.#isFull() || this.#replay === null || this.#isPumping) return
    this.#isPumping = true
    setImmediate(this.#pump)
  }

  /** Resolves when the server streams. */
  start(): Promise<void> {
    this.#session.submit(this)
    return this.#started.promise
  }

  override submit(connection: Connection): void {
    super.submit(connection)
    this.stream?.once('close', this.#onClose)
  }

  readonly #onClose = (): void => {
    this.#fail(new LoadError('connection-lost', `The connection to ${this.#session.what} broke while its log was read.`))
  }

  protected readonly onData = (data: Buffer): void => {
    this.#rest.push(data)
    this.#restBytes += data.length
    // A value may have hundreds of megabytes: it is put together once.
    if (this.#restBytes < this.#restNeeds || this.#replay !== null) return
    this.#takeRest()
    this.#goOn()
  }

  #takeRest(): void {
    const [only, ...more] = this.#rest
    if (only === undefined) return
    try {
      this.#take(more.length === 0 ? only : Buffer.concat(this.#rest))
    } catch (error) {
      this.#fail(error)
      this.#session.destroy()
    }
  }

  #take(data: Buffer): void {
    let at = 0
    let needs = 5
    while (data.length - at >= 5 && this.#replay === null) {
      const kind = data[at]
      const size = data.readInt32BE(at + 1)
      if (size < 4) throw new LoadError('log-corrupted', 'The source sent a message of impossible length.')
      const end = at + 1 + size
      if (kind === ERROR_RESPONSE || kind === COPY_DONE) {
        this.handBack(data.subarray(at))
        return
      }
      needs = end - at
      if (end > data.length) break
      if (kind === COPY_DATA) this.#copyData(data, at + 5, end)
      else if (kind === COPY_BOTH_RESPONSE) this.#begin()
      else this.toParser(data.subarray(at, end))
      at = end
      needs = 5
    }
    this.#rest = at === data.length ? [] : [Buffer.from(data.subarray(at))]
    this.#restBytes = data.length - at
    this.#restNeeds = needs
  }

  #begin(): void {
    this.#timer = setInterval(() => this.#tell(false), STATUS_MS)
    this.#timer.unref()
    this.#started.resolve()
  }

  #copyData(data: Buffer, from: number, to: number): void {
    const kind = data[from]
    if (kind === XLOG_DATA) {
      if (to - from < XLOG_HEADER_BYTES) throw new LoadError('log-corrupted', 'The source sent a message of its log that ends too early.')
      const end = data.readBigUInt64BE(from + 9)
      if (end > this.#sent) this.#sent = end
      const at = from + XLOG_HEADER_BYTES
      if (!this.#pieces.take(data, at, to)) this.#decoder.decode(data, at, to)
    } else if (kind === KEEPALIVE) {
      if (to - from < 18) throw new LoadError('log-corrupted', 'The source sent a sign of life that ends too early.')
      const end = data.readBigUInt64BE(from + 1)
      if (end > this.#sent) this.#sent = end
      this.#saidMicros = data.readBigInt64BE(from + 9) + EPOCH_MICROS
      if (data[from + 17] === 1) this.#tell(false)
      this.#signal()
    }
  }

  #dropTransaction(): void {
    const { count, cells, used } = this.#whole
    this.#chunk.count = count
    this.#chunk.cells = cells
    this.#chunk.used = used
  }

  /**
   * What there is: whole transactions if there are any; a part of one that is larger than a chunk; or, where nothing comes within
   * the time, an empty chunk whose end is how far the log was read. Throws what ended the stream.
   */
  async next(waitMs: number): Promise<StreamedChunk> {
    const until = performance.now() + waitMs
    for (;;) {
      if (this.#error !== null) throw this.#error
      if (this.#transactions > 0 || (!this.#isOver && this.#isFull())) return this.#give()
      if (this.#isOver) return { changes: NO_CHANGES, end: this.#options.until, committedMicros: null, transactions: 0 }
      const left = until - performance.now()
      if (left <= 0) return { changes: NO_CHANGES, end: this.idleEnd, committedMicros: null, transactions: 0 }
      await this.#wait(left)
    }
  }

  /** Up to here there was nothing else to read; the last end where something is on its way. */
  get idleEnd(): bigint {
    const { until } = this.#options
    const end = this.#inside || this.#chunk.count > 0 || this.#sent < this.#wholeEnd ? this.#wholeEnd : this.#sent
    return until !== null && end > until ? until : end
  }

  /** By the server's clock: nothing that was committed before this and lies before `idleEnd` is missing. */
  get saidMicros(): bigint | null {
    return this.#saidMicros
  }

  #give(): StreamedChunk {
    const given = this.#chunk
    const next = this.#spare ?? new ChangesChunk()
    this.#spare = null
    next.clear()
    const isWhole = this.#transactions > 0
    if (isWhole) given.moveTail(this.#whole, next)
    else {
      // The rest of the transaction goes on in the next chunk.
      const last = given.transactions.at(-1)
      if (last !== undefined) next.beginTransaction(last.position, last.committedMicros, last.before + given.count - last.first)
    }
    this.#chunk = next
    const chunk = {
      changes: given,
      end: isWhole ? this.#wholeEnd : null,
      committedMicros: this.#committed,
      transactions: this.#transactions,
    }
    this.#whole = { count: 0, cells: 0, used: 0 }
    this.#transactions = 0
    this.#committed = null
    this.#goOn()
    return chunk
  }

  /** The chunk may be filled again. */
  recycle({ changes }: StreamedChunk): void {
    if (changes !== NO_CHANGES) this.#spare ??= changes
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  #signal(): void {
    this.#wake?.()
    this.#wake = null
  }

  /** The target has committed everything up to here: the source may forget it. */
  acknowledge(position: bigint): void {
    if (position <= this.#safe) return
    this.#safe = position
    if (position > this.#sent) this.#sent = position
    this.#tell(false)
  }

  /** Asks how far the server is; the answer wakes `next`. */
  ping(): void {
    this.#tell(true)
  }

  #tell(answer: boolean): void {
    const { stream } = this
    if (stream === null || stream.destroyed || this.#ended) return
    const message = Buffer.allocUnsafe(39)
    message[0] = COPY_DATA
    message.writeInt32BE(38, 1)
    message[5] = 0x72
    message.writeBigUInt64BE(this.#sent, 6)
    message.writeBigUInt64BE(this.#safe, 14)
    message.writeBigUInt64BE(this.#safe, 22)
    message.writeBigUInt64BE(BigInt(Date.now()) * 1000n - EPOCH_MICROS, 30)
    message[38] = answer ? 1 : 0
    stream.write(message)
  }

  #fail(error: unknown): void {
    this.#error ??= error
    this.#ended = true
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#started.reject(error)
    this.#signal()
  }

  /** The server keeps the slot; a connection in the middle of a stream is of no other use. */
  close(): void {
    if (!this.#ended) this.#tell(false)
    this.#ended = true
    this.#spool.close()
    this.#replay?.file.close()
    this.#replay = null
    this.#error ??= new LoadError('stopped', 'The log is no longer read.')
    if (this.#timer !== null) clearInterval(this.#timer)
    this.stream?.off('close', this.#onClose)
    this.stream?.end()
    this.#session.destroy()
  }

  override handleError(error: unknown): void {
    this.#fail(logError(error, this.#session.what))
  }

  override handleCommandComplete(): void {
    this.#fail(new LoadError('connection-lost', `${this.#session.what} ended the stream of its log.`))
  }
}

const NO_CHANGES = new ChangesChunk()
