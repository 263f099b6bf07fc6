// Fetch requests whose answers keep the records as bytes. The library asks, keeps sessions and connections; its own way of reading
// records checks no checksum and loses count of a producer's aborted transactions, so the answer is taken apart here.

import type { Broker, Callback, Connection, ConnectionPool, Consumer, Reader } from '@platformatic/kafka'
import { LoadError } from '../../core/errors.ts'
import type { AbortedTransaction } from './record-batches.ts'

export type KafkaLibrary = typeof import('@platformatic/kafka')

type FetchResponse = Awaited<ReturnType<Consumer['fetch']>>

export interface FetchedPartition {
  readonly topicId: string
  readonly partition: number
  /** The broker's number; 0 where all is well. */
  readonly errorCode: number
  readonly lastStableOffset: bigint
  readonly aborted: readonly AbortedTransaction[]
  readonly bytes: Buffer
}

/** What stands beside the library's own fields. */
interface RawPartition {
  readonly bytes?: Buffer
}

const FETCH = 1
/** The first version that names topics by their id. */
const FIRST_VERSION = 13

/** Connections that are used for nothing else: a broker answers one request after the other, and a fetch may wait. */
export function rawFetchPool(
  library: KafkaLibrary,
  clientId: string,
  options: ConstructorParameters<typeof ConnectionPool>[1],
): ConnectionPool {
  class RawFetchPool extends library.ConnectionPool {
    override get(broker: Broker, callback: Callback<Connection>): void
    override get(broker: Broker): Promise<Connection>
    // biome-ignore lint/suspicious/noConfusingVoidType: the library's two forms in one.
    override get(broker: Broker, callback?: Callback<Connection>): Promise<Connection> | void {
      if (callback === undefined) return super.get(broker)
      super.get(broker, (error, connection) => {
        if (error !== null || connection === undefined) callback(error, connection as unknown as Connection)
        else callback(null, asking(library, connection))
      })
    }
  }
  return new RawFetchPool(clientId, options)
}

/** Of the connection, a fetch uses nothing but `send`. */
function asking(library: KafkaLibrary, connection: Connection): Connection {
  const send: Connection['send'] = (apiKey, version, payload, parser, requestTags, responseTags, callback) => {
    if (apiKey !== FETCH) connection.send(apiKey, version, payload, parser, requestTags, responseTags, callback)
    else if (version < FIRST_VERSION)
      callback(
        new LoadError('unsupported-server', 'The brokers know no ids of topics.', { hint: 'Kafka 3.1 or newer is needed.' }),
        undefined as never,
      )
    else {
      const parse = (_id: number, key: number, of: number, reader: Reader): unknown => parseFetch(library, key, of, reader)
      connection.send(apiKey, version, payload, parse as typeof parser, requestTags, responseTags, callback)
    }
  }
  return { send } as Connection
}

/** Versions 13 to 17 are laid out alike. Errors of partitions are no errors of the answer. */
function parseFetch(library: KafkaLibrary, apiKey: number, version: number, reader: Reader): FetchResponse {
  const throttleTimeMs = reader.readInt32()
  const errorCode = reader.readInt16()
  const sessionId = reader.readInt32()
  const responses = reader.readArray((topic) => ({
    topicId: topic.readUUID(),
    partitions: topic.readArray(readPartition, true, true),
  }))
  reader.readTaggedFields()
  const response = { throttleTimeMs, errorCode, sessionId, responses, nodeEndpoints: [] }
  if (errorCode !== 0) throw new library.ResponseError(apiKey, version, { '': [errorCode, null] }, response)
  return response
}

function readPartition(reader: Reader): FetchResponse['responses'][number]['partitions'][number] & RawPartition {
  return {
    partitionIndex: reader.readInt32(),
    errorCode: reader.readInt16(),
    highWatermark: reader.readInt64(),
    lastStableOffset: reader.readInt64(),
    logStartOffset: reader.readInt64(),
    abortedTransactions: reader.readNullableArray((one) => ({ producerId: one.readInt64(), firstOffset: one.readInt64() })),
    preferredReadReplica: reader.readInt32(),
    bytes: reader.readNullableBytes() ?? Buffer.alloc(0),
    records: null,
  }
}

export function fetchedPartitions({ responses }: FetchResponse): FetchedPartition[] {
  return responses.flatMap(({ topicId, partitions }) =>
    partitions.map((one) => ({
      topicId,
      partition: one.partitionIndex,
      errorCode: one.errorCode,
      lastStableOffset: one.lastStableOffset,
      aborted: one.abortedTransactions ?? [],
      bytes: (one as RawPartition).bytes ?? Buffer.alloc(0),
    })),
  )
}
