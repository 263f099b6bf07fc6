import { type CompressionAlgorithmValue, compressionsAlgorithmsByBitmask, crc32c, createRecordsBatch } from '@platformatic/kafka'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type BatchOptions, decodeBatches, type KafkaRecord } from './record-batches.ts'

const TRANSACTIONAL = 1 << 4
const CONTROL = 1 << 5
const PRODUCER = 7n

const OPTIONS: BatchOptions = {
  what: 'topic "t", partition 0',
  from: 0n,
  aborted: [],
  maxBatchBytes: 1 << 20,
  crc32c,
  decompress: (codec) => compressionsAlgorithmsByBitmask[codec]?.decompressSync ?? null,
}

interface Made {
  readonly first: bigint
  readonly values: readonly string[]
  readonly attributes?: number
  readonly compression?: CompressionAlgorithmValue
  /** Offsets from the first to the last, where compaction took some away. */
  readonly lastDelta?: number
}

function make({ first, values, attributes = 0, compression = 'none', lastDelta = values.length - 1 }: Made): Buffer {
  const messages = values.map((value, at) => ({
    topic: 't',
    key: Buffer.from(`k${at}`),
    value: Buffer.from(value),
    timestamp: 1000n + BigInt(at),
  }))
  const bytes = Buffer.from(createRecordsBatch(messages, { compression, producerId: PRODUCER }).dynamicBuffer.buffer)
  bytes.writeBigInt64BE(first, 0)
  bytes.writeInt32BE(lastDelta, 23)
  bytes.writeInt16BE(bytes.readInt16BE(21) | attributes, 21)
  return sealed(bytes)
}

function sealed(bytes: Buffer): Buffer {
  bytes.writeUInt32BE(crc32c(bytes.subarray(21)), 17)
  return bytes
}

/** One of the two records with which a transaction ends. */
function marker(first: bigint, kind: 'abort' | 'commit'): Buffer {
  const key = Buffer.from([0, 0, 0, kind === 'abort' ? 0 : 1])
  const value = Buffer.alloc(6)
  const bytes = Buffer.from(createRecordsBatch([{ topic: 't', key, value }], { producerId: PRODUCER }).dynamicBuffer.buffer)
  bytes.writeBigInt64BE(first, 0)
  bytes.writeInt16BE(TRANSACTIONAL | CONTROL, 21)
  return sealed(bytes)
}

/** A batch that compaction has left for the sake of its producer: without a record. */
function emptied(batch: Buffer): Buffer {
  const bytes = Buffer.from(batch.subarray(0, 61))
  bytes.writeInt32BE(61 - 12, 8)
  bytes.writeInt32BE(0, 57)
  return sealed(bytes)
}

const texts = (records: readonly KafkaRecord[]) => records.map(({ value }) => String(value))

describe('what stands in a batch', () => {
  test.each(['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const)('any values, compressed by %s', (compression) => {
    const bytes = fc.option(
      fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array)),
      { nil: null },
    )
    // The times of a batch lie within days: the library, which writes them here, gets longer spans wrong.
    const records = fc.array(
      fc.record({
        key: bytes,
        value: bytes,
        time: fc.integer({ min: 1_700_000_000_000, max: 1_700_000_000_000 + 2 ** 30 }),
        headers: fc.array(fc.tuple(fc.string(), bytes), { maxLength: 3 }),
      }),
      { minLength: 1, maxLength: 20 },
    )
    fc.assert(
      fc.property(records, fc.bigInt({ min: 0n, max: 2n ** 60n }), (all, first) => {
        const messages = all.map(({ key, value, time, headers }) => ({
          topic: 't',
          ...(key === null ? {} : { key }),
          value: value as Buffer,
          timestamp: BigInt(time),
          headers: new Map(headers.map(([name, content]) => [Buffer.from(name), content as Buffer])),
        }))
        const batch = Buffer.from(createRecordsBatch(messages, { compression }).dynamicBuffer.buffer)
        batch.writeBigInt64BE(first, 0)
        const { records: found, next } = decodeBatches(batch, { ...OPTIONS, from: first })
        expect(next).toBe(first + BigInt(all.length))
        expect(found).toEqual(
          all.map((one, at) => ({ offset: first + BigInt(at), timestamp: one.time, key: one.key, value: one.value, headers: one.headers })),
        )
      }),
      { numRuns: 50 },
    )
  })

  test('the time is that of the broker where the topic is set so', () => {
    const { records } = decodeBatches(make({ first: 0n, values: ['a', 'b', 'c'], attributes: 1 << 3 }), OPTIONS)
    expect(records.map(({ timestamp }) => timestamp)).toEqual([1002, 1002, 1002])
  })

  test('records before the wanted offset are left out, compacted ones are passed over, and a batch that is cut off is left', () => {
    const first = make({ first: 0n, values: ['a', 'b', 'c'], lastDelta: 9 })
    const second = make({ first: 10n, values: ['d'] })
    const read = (bytes: Buffer, from: bigint) => {
      const { records, next } = decodeBatches(bytes, { ...OPTIONS, from })
      return [texts(records), next]
    }
    expect(read(Buffer.concat([first, second]), 2n)).toEqual([['c', 'd'], 11n])
    expect(read(Buffer.concat([first, second.subarray(0, -1)]), 0n)).toEqual([['a', 'b', 'c'], 10n])
    expect(read(first.subarray(0, 11), 0n)).toEqual([[], 0n])
    expect(read(emptied(first), 0n)).toEqual([[], 10n])
    // Never backwards: the answer of a broker that was asked before.
    expect(read(first, 20n)).toEqual([[], 20n])
  })
})

describe('transactions', () => {
  const transaction = (first: bigint, value: string) => make({ first, values: [value], attributes: TRANSACTIONAL })

  test('aborted ones are left out, each to its own marker', () => {
    const bytes = Buffer.concat([
      transaction(0n, 'aborted'),
      marker(1n, 'abort'),
      transaction(2n, 'committed'),
      marker(3n, 'commit'),
      make({ first: 4n, values: ['plain'] }),
      transaction(5n, 'aborted too'),
      marker(6n, 'abort'),
      transaction(7n, 'committed too'),
      marker(8n, 'commit'),
    ])
    const aborted = [
      { producerId: PRODUCER, firstOffset: 5n },
      { producerId: PRODUCER, firstOffset: 0n },
    ]
    const { records, next } = decodeBatches(bytes, { ...OPTIONS, aborted })
    expect(texts(records)).toEqual(['committed', 'plain', 'committed too'])
    expect(next).toBe(9n)
  })

  test('a marker that compaction has emptied is no error', () => {
    const bytes = Buffer.concat([emptied(marker(0n, 'abort')), transaction(1n, 'committed')])
    expect(texts(decodeBatches(bytes, OPTIONS).records)).toEqual(['committed'])
  })
})

describe('what is refused', () => {
  const refusals: readonly [string, (bytes: Buffer) => Buffer, string, RegExp][] = [
    ['a changed byte', (bytes) => flip(bytes, bytes.length - 3), 'log-corrupted', /the batch at offset 5 has a wrong checksum/],
    ['an impossible length', (bytes) => write32(bytes, 8, 3), 'log-corrupted', /the batch at offset 5 has an impossible length/],
    ['more records than there are', (bytes) => sealed(write32(bytes, 57, 9)), 'log-corrupted', /records of impossible length/],
    ['a record that is too long', (bytes) => sealed(write8(bytes, 61, 0x7e)), 'log-corrupted', /records of impossible length/],
    ['bytes that are not compressed', (bytes) => sealed(write8(bytes, 22, 1)), 'log-corrupted', /can't be decompressed/],
    ['an unknown codec', (bytes) => sealed(write8(bytes, 22, 6)), 'log-unavailable', /a way that is not known \(codec 6\)/],
    ['an old format', (bytes) => write8(bytes, 16, 1), 'log-unavailable', /records of format 1 at offset 5/],
    [
      'a batch that is too large',
      (bytes) => write32(bytes, 8, 2 << 20),
      'log-unavailable',
      /a batch of 2097164 bytes at offset 5; at most 1048576/,
    ],
  ]
  test.each(refusals)('%s, and what comes before it is read', (_name, damage, code, message) => {
    const bad = damage(make({ first: 5n, values: ['secret', 'secret'] }))
    const from = { ...OPTIONS, from: 5n }
    expect(() => decodeBatches(bad, from)).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }))
    expect(() => decodeBatches(bad, from)).not.toThrow(/secret/)
    const { records, next } = decodeBatches(Buffer.concat([make({ first: 0n, values: ['a', 'b', 'c', 'd', 'e'] }), bad]), OPTIONS)
    expect([records.length, next]).toEqual([5, 5n])
  })

  function flip(bytes: Buffer, at: number): Buffer {
    return write8(bytes, at, (bytes[at] ?? 0) ^ 0x10)
  }

  function write8(bytes: Buffer, at: number, value: number): Buffer {
    bytes[at] = value
    return bytes
  }

  function write32(bytes: Buffer, at: number, value: number): Buffer {
    bytes.writeInt32BE(value, at)
    return bytes
  }
})
