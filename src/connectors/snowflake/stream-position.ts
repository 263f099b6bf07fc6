// How far the streams of a pipeline have been delivered, as text: the number of the last pull, who consumes them, and of each table which
// very stream and table that was said of.

import { LoadError } from '../../core/errors.ts'
import type { LogPosition, Position } from '../../core/position.ts'

/** What a place in a stream belongs to: a stream or a table that was made again is another. */
export interface StreamIdentity {
  readonly stream: string
  readonly table: string
}

export interface StreamPlace {
  /** Of the last pull that was delivered. */
  readonly pull: bigint
  /** By which the consumer of the streams is known to their outboxes. */
  readonly consumer: string
  /** By the table's name in the project. */
  readonly streams: ReadonlyMap<string, StreamIdentity>
}

/** `asOf`: by Snowflake's clock, nothing that was committed until then is missing. */
export function printStreamPlace({ pull, consumer, streams }: StreamPlace, asOf: string | null): LogPosition {
  const written = Object.fromEntries(
    [...streams].sort(([a], [b]) => (a < b ? -1 : 1)).map(([table, identity]) => [table, [identity.stream, identity.table]]),
  )
  const at = JSON.stringify({ pull: String(pull), consumer, streams: written })
  return asOf === null ? { kind: 'log', at } : { kind: 'log', at, time: asOf }
}

/** Throws `state-corrupted`. */
export function parseStreamPlace(position: Position, pipeline: string): StreamPlace {
  try {
    if (position.kind !== 'log') throw new TypeError('no position of a log')
    const { pull, consumer, streams } = JSON.parse(position.at) as Record<string, unknown>
    if (typeof pull !== 'string' || typeof consumer !== 'string' || typeof streams !== 'object' || streams === null)
      throw new TypeError('a part is missing')
    const entries = Object.entries(streams as Record<string, readonly [string, string]>)
    return { pull: BigInt(pull), consumer, streams: new Map(entries.map(([name, [stream, table]]) => [name, { stream, table }])) }
  } catch (cause) {
    throw new LoadError('state-corrupted', `The stored position of pipeline ${pipeline} is no place in streams of Snowflake.`, { cause })
  }
}
