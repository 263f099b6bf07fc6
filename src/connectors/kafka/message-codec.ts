// What the bytes of a message are before Debezium's JSON is read from them.

import type { DebeziumMessage } from '../../formats/debezium.ts'
import type { KafkaRecord } from './record-batches.ts'

export interface MessageCodec {
  /** Gets what is needed to read them. Throws what ends the run; what is wrong with one message is said when it is unpacked. */
  prepare(records: readonly KafkaRecord[]): Promise<void>
  /** As JsonConverter would have written it. Throws `bad-message`. */
  unpack(record: KafkaRecord): DebeziumMessage
}

/** Messages that are JSON already. */
export const JSON_MESSAGES: MessageCodec = {
  async prepare() {},
  unpack: ({ key, value, headers }) => ({ key, value, headers: new Map(headers) }),
}
