// Kafka's record batches → records: the bytes of one partition as a broker sends them, format 2. Always: a batch is used only when its
// checksum is right, and what an aborted transaction wrote is left out. Keys and values are views into the bytes.

import { LoadError } from '../../core/errors.ts'

export interface KafkaRecord {
  readonly offset: bigint
  /** Milliseconds from 1970, as its producer or the broker set it. */
  readonly timestamp: number
  readonly key: Buffer | null
  /** null is a tombstone. */
  readonly value: Buffer | null
  readonly headers: readonly (readonly [name: string, value: Buffer | null])[]
}

export interface AbortedTransaction {
  readonly producerId: bigint
  readonly firstOffset: bigint
}

export interface BatchOptions {
  /** For messages: `topic "cdc.public.orders", partition 0`. */
  readonly what: string
  /** Records before it are left out: a batch may begin earlier. */
  readonly from: bigint
  readonly aborted: readonly AbortedTransaction[]
  readonly maxBatchBytes: number
  crc32c(bytes: Buffer): number
  /** By the number of the codec; null where it is not known. */
  decompress(codec: number): ((bytes: Buffer) => Buffer) | null
}

export interface DecodedBatches {
  readonly records: readonly KafkaRecord[]
  /** After the last batch: records that were compacted away, control batches and aborted records lie behind it too. */
  readonly next: bigint
}

const FORMAT = 2
/** Offset and length. */
const PREFIX_BYTES = 12
const HEADER_BYTES = 61
/** The checksum covers everything from here on. */
const CHECKED_FROM = 21
const CODEC = 0b111
const LOG_APPEND_TIME = 1 << 3
const TRANSACTIONAL = 1 << 4
const CONTROL = 1 << 5
const ABORT = 0

/**
 * A last batch that the broker cut off is left for the next fetch. So is one that can't be read behind others that can: what comes before
 * it is handed out, and the next fetch begins with it and says what is wrong.
 */
export function decodeBatches(bytes: Buffer, options: BatchOptions): DecodedBatches {
  const records: KafkaRecord[] = []
  const aborted = new AbortedProducers(options.aborted)
  let next = options.from
  for (let at = 0; bytes.length - at >= PREFIX_BYTES; ) {
    const whole = records.length
    try {
      const size = sizeOf(bytes, at, options)
      if (bytes.length - at < size) break
      const end = readBatch(bytes.subarray(at, at + size), options, aborted, records)
      if (end > next) next = end
      at += size
    } catch (thrown) {
      if (next === options.from) throw thrown
      records.length = whole
      break
    }
  }
  return { records, next }
}

function sizeOf(bytes: Buffer, at: number, options: BatchOptions): number {
  const size = PREFIX_BYTES + bytes.readInt32BE(at + 8)
  if (size < HEADER_BYTES) throw corrupt(options, bytes.readBigInt64BE(at), 'has an impossible length')
  if (size > options.maxBatchBytes) throw tooLarge(options, bytes.readBigInt64BE(at), size)
  return size
}

/** Returns the offset behind it. */
function readBatch(bytes: Buffer, options: BatchOptions, aborted: AbortedProducers, into: KafkaRecord[]): bigint {
  const batch = openBatch(bytes, options)
  const last = batch.first + BigInt(batch.lastDelta)
  aborted.reach(last)
  if ((batch.attributes & CONTROL) !== 0) {
    if (marksAbort(batch, options)) aborted.end(batch.producerId)
  } else if ((batch.attributes & TRANSACTIONAL) === 0 || !aborted.has(batch.producerId)) readRecords(batch, options, into)
  return last + 1n
}

interface Batch {
  readonly first: bigint
  readonly lastDelta: number
  readonly attributes: number
  readonly firstTimestamp: number
  readonly lastTimestamp: number
  readonly producerId: bigint
  readonly count: number
  /** Decompressed. */
  readonly body: Buffer
}

function openBatch(bytes: Buffer, options: BatchOptions): Batch {
  const first = bytes.readBigInt64BE(0)
  const format = bytes.readInt8(16)
  if (format !== FORMAT)
    throw new LoadError('log-unavailable', `${options.what} has records of format ${format} at offset ${first}, which is older than 2.`, {
      hint: 'Records that were written before Kafka 0.11 are not read. Begin after them.',
    })
  if (options.crc32c(bytes.subarray(CHECKED_FROM)) !== bytes.readUInt32BE(17)) throw corrupt(options, first, 'has a wrong checksum')
  const attributes = bytes.readInt16BE(21)
  return {
    first,
    lastDelta: bytes.readInt32BE(23),
    attributes,
    firstTimestamp: Number(bytes.readBigInt64BE(27)),
    lastTimestamp: Number(bytes.readBigInt64BE(35)),
    producerId: bytes.readBigInt64BE(43),
    count: bytes.readInt32BE(57),
    body: decompress(bytes.subarray(HEADER_BYTES), attributes & CODEC, first, options),
  }
}

function decompress(bytes: Buffer, codec: number, first: bigint, options: BatchOptions): Buffer {
  if (codec === 0) return bytes
  const decompressor = options.decompress(codec)
  if (decompressor === null)
    throw new LoadError(
      'log-unavailable',
      `${options.what} is compressed at offset ${first} in a way that is not known (codec ${codec}).`,
      {
        hint: 'Use gzip, snappy, lz4 or zstd; zstd needs Node 22.15 or newer.',
      },
    )
  try {
    return decompressor(bytes)
  } catch (cause) {
    throw corrupt(options, first, "can't be decompressed", cause)
  }
}

/** A marker that compaction has emptied ends nothing: of its transaction, no record is left. */
function marksAbort(batch: Batch, options: BatchOptions): boolean {
  const markers: KafkaRecord[] = []
  readRecords(batch, { ...options, from: batch.first }, markers)
  const key = markers[0]?.key
  return key != null && key.length >= 4 && key.readInt16BE(2) === ABORT
}

/** Producers whose records are aborted, at the place that is read. */
class AbortedProducers {
  readonly #coming: AbortedTransaction[]
  readonly #active = new Set<bigint>()

  constructor(transactions: readonly AbortedTransaction[]) {
    this.#coming = transactions.toSorted((a, b) => (a.firstOffset < b.firstOffset ? 1 : -1))
  }

  reach(last: bigint): void {
    for (let one = this.#coming.at(-1); one !== undefined && one.firstOffset <= last; one = this.#coming.at(-1)) {
      this.#active.add(one.producerId)
      this.#coming.pop()
    }
  }

  end(producerId: bigint): void {
    this.#active.delete(producerId)
  }

  has(producerId: bigint): boolean {
    return this.#active.has(producerId)
  }
}

function readRecords(batch: Batch, options: BatchOptions, into: KafkaRecord[]): void {
  const cursor = new Cursor(batch.body)
  try {
    for (let read = 0; read < batch.count; read++) {
      const end = cursor.varint() + cursor.at
      cursor.skip(1)
      const timestampDelta = cursor.varlong()
      const offset = batch.first + BigInt(cursor.varint())
      const key = cursor.bytes()
      const value = cursor.bytes()
      const headers: [string, Buffer | null][] = []
      for (let left = cursor.varint(); left > 0; left--) headers.push([cursor.bytes()?.toString() ?? '', cursor.bytes()])
      if (cursor.at !== end) throw new RangeError('length of a record')
      const timestamp = (batch.attributes & LOG_APPEND_TIME) === 0 ? batch.firstTimestamp + timestampDelta : batch.lastTimestamp
      if (offset >= options.from) into.push({ offset, timestamp, key, value, headers })
    }
  } catch (cause) {
    throw corrupt(options, batch.first, 'has records of impossible length', cause)
  }
}

/** Throws a RangeError beyond the end. */
class Cursor {
  at = 0
  readonly #bytes: Buffer

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  skip(count: number): void {
    this.at += count
  }

  /** A zigzag number that fits into 32 bits. */
  varint(): number {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#byte()
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return (value >>> 1) ^ -(value & 1)
    }
    throw new RangeError('number')
  }

  /** A zigzag number of milliseconds: exact up to 2^53. */
  varlong(): number {
    let value = 0
    for (let factor = 1; factor < 2 ** 70; factor *= 128) {
      const byte = this.#byte()
      value += (byte & 0x7f) * factor
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2
    }
    throw new RangeError('number')
  }

  bytes(): Buffer | null {
    const length = this.varint()
    if (length < 0) return null
    const from = this.at
    this.at += length
    if (this.at > this.#bytes.length) throw new RangeError('length')
    return this.#bytes.subarray(from, this.at)
  }

  #byte(): number {
    const byte = this.#bytes[this.at++]
    if (byte === undefined) throw new RangeError('end')
    return byte
  }
}

function corrupt({ what }: BatchOptions, first: bigint, why: string, cause?: unknown): LoadError {
  return new LoadError('log-corrupted', `${what}: the batch at offset ${first} ${why}.`, {
    cause: cause === undefined ? undefined : new Error('decoding failed'),
    hint: "Run again. If it happens again at the same offset, the broker's file is damaged there: restore it from another replica.",
  })
}

function tooLarge({ what, maxBatchBytes }: BatchOptions, first: bigint, size: number): LoadError {
  return new LoadError('log-unavailable', `${what} has a batch of ${size} bytes at offset ${first}; at most ${maxBatchBytes} are read.`, {
    hint: 'Lower `max.message.bytes` of the topic, and leave out what is so large with `column.exclude.list` of the connector.',
  })
}
