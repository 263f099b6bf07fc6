// What the bytes of a message are before Debezium's JSON is read from them: JSON itself, or Avro, which is turned into what JsonConverter
// would have written, so that one decoder reads both.

import { LoadError } from '../../core/errors.ts'
import { AvroTranslator } from '../../formats/avro-json.ts'
import type { DebeziumMessage } from '../../formats/debezium.ts'
import { badMessage } from '../../formats/debezium-refusal.ts'
import type { KafkaRecord } from './record-batches.ts'
import type { SchemaRegistry } from './schema-registry.ts'
import type { MessageDecoder } from './topic-changes.ts'
import type { RecordReader } from './topic-reader.ts'

export interface MessageCodec {
  /** Gets what is needed to read them. Throws what ends the run; what is wrong with one message is said when it is unpacked. */
  prepare(records: readonly KafkaRecord[]): Promise<void>
  /** Throws `bad-message`. */
  unpack(message: DebeziumMessage): DebeziumMessage
}

/** In front of every value in Avro: this byte, and the number of its schema. No JSON begins so. */
const MAGIC = 0
const HEAD_BYTES = 5

/** Messages that are JSON already. */
export const JSON_MESSAGES: MessageCodec = {
  async prepare() {},
  unpack(message) {
    if (message.value?.[0] === MAGIC || message.key?.[0] === MAGIC)
      throw badMessage(
        'is no JSON but Avro, or something like it',
        'Say where its schemas are: give the connection `registry: { url: … }`.',
      )
    return message
  },
}

export class AvroMessages implements MessageCodec {
  readonly #registry: SchemaRegistry
  readonly #translator = new AvroTranslator()

  constructor(registry: SchemaRegistry) {
    this.#registry = registry
  }

  async prepare(records: readonly KafkaRecord[]): Promise<void> {
    const ids = new Set<number>()
    for (const { key, value, headers } of records)
      for (const bytes of [key, value, ...headers.filter(isOfDebezium).map(([, one]) => one)]) {
        const id = bytes === null ? null : schemaId(bytes)
        if (id !== null) ids.add(id)
      }
    await this.#registry.fetch(ids)
  }

  unpack({ key, value, headers }: DebeziumMessage): DebeziumMessage {
    const own = [...headers].filter(isOfDebezium).map(([name, one]) => [name, this.#translate(one)] as const)
    return { key: this.#translate(key), value: this.#translate(value), headers: new Map(own) }
  }

  /** A part that is JSON stays so: keys and values have converters of their own. */
  #translate(bytes: Uint8Array | null): Uint8Array | null {
    if (bytes === null) return null
    const id = schemaId(bytes)
    return id === null ? bytes : this.#translator.translate(this.#registry.schema(id), bytes, HEAD_BYTES)
  }
}

/** The keys before and after a change of them. */
function isOfDebezium([name]: readonly [name: string, value: Uint8Array | null]): boolean {
  return name.startsWith('__debezium.')
}

/** null for what is no Avro of a registry. */
function schemaId(bytes: Uint8Array): number | null {
  if (bytes[0] !== MAGIC || bytes.length < HEAD_BYTES) return null
  return new DataView(bytes.buffer, bytes.byteOffset, HEAD_BYTES).getUint32(1)
}

/** A reader whose records can be unpacked when it hands them out; those of the topics in `plain` are unpacked already. */
export function preparing(reader: RecordReader, codec: MessageCodec, plain: readonly string[]): RecordReader {
  return {
    async next(...how) {
      const found = await reader.next(...how)
      await codec.prepare(found.flatMap(({ records }) => records))
      return found.map((one) =>
        plain.includes(one.topic) ? { ...one, records: one.records.map((record) => unpacked(record, codec)) } : one,
      )
    },
    close: () => reader.close(),
  }
}

function unpacked(record: KafkaRecord, codec: MessageCodec): KafkaRecord {
  const { value } = codec.unpack({ key: null, value: record.value, headers: new Map() })
  return { ...record, value: value === null ? null : Buffer.from(value.buffer, value.byteOffset, value.length) }
}

export function unpacking(decoder: MessageDecoder, codec: MessageCodec): MessageDecoder {
  return {
    decode: (message, chunk) => decoder.decode(codec.unpack(message), chunk),
    readKeyOnly(message, chunk) {
      try {
        return decoder.readKeyOnly(codec.unpack({ ...message, value: null }), chunk)
      } catch (error) {
        if (!(error instanceof LoadError)) throw error
        return null
      }
    },
  }
}
