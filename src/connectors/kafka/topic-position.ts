// How far the topics of a pipeline have been delivered, as text: by topic its id, and of each partition the offset that comes next and
// the last change of the source that was seen in it.

import { LoadError } from '../../core/errors.ts'
import type { Position } from '../../core/position.ts'
import type { Seen } from './emission-guard.ts'

export interface PartitionPlace {
  readonly next: bigint
  readonly seen: Seen | null
}

export interface TopicPlace {
  readonly id: string
  readonly partitions: readonly PartitionPlace[]
}

/** By the topic's name. */
export type TopicPlaces = ReadonlyMap<string, TopicPlace>

type Written = Readonly<Record<string, readonly [id: string, partitions: readonly (readonly [next: string, ...seen: string[]])[]]>>

export function printTopicPlaces(places: TopicPlaces): Position {
  const written: Record<string, unknown> = {}
  for (const [topic, { id, partitions }] of [...places].sort(([a], [b]) => (a < b ? -1 : 1)))
    written[topic] = [id, partitions.map(({ next, seen }) => [String(next), ...printSeen(seen)])]
  return { kind: 'log', at: JSON.stringify(written) }
}

/** Throws `state-corrupted`. */
export function parseTopicPlaces(position: Position, pipeline: string): TopicPlaces {
  if (position.kind !== 'log') throw broken(pipeline, null)
  try {
    const written = JSON.parse(position.at) as Written
    if (typeof written !== 'object' || written === null) throw broken(pipeline, null)
    return new Map(
      Object.entries(written).map(([topic, [id, partitions]]) => [
        topic,
        {
          id,
          partitions: partitions.map(([next, ...seen]) => ({ next: BigInt(next), seen: parseSeen(seen) })),
        },
      ]),
    )
  } catch (error) {
    throw broken(pipeline, error)
  }
}

/** Is everything that the other has been delivered, as far as its topics are known? */
export function coversPlaces(places: TopicPlaces, wanted: TopicPlaces): boolean {
  for (const [name, { partitions }] of wanted)
    for (const [number, { next }] of partitions.entries()) {
      const place = places.get(name)?.partitions[number]
      if (place !== undefined && place.next < next) return false
    }
  return true
}

export function printSeen(seen: Seen | null): readonly string[] {
  return seen === null ? [] : [seen.commit, seen.place, seen.count, seen.order ?? '', seen.snapshot ?? '', seen.mark ?? ''].map(String)
}

export function parseSeen([commit, place, count = '1', order = '', snapshot = '', mark = '']: readonly string[]): Seen | null {
  if (commit === undefined || place === undefined) return null
  return {
    commit: BigInt(commit),
    place: BigInt(place),
    count: Number(count),
    order: order === '' ? null : Number(order),
    snapshot: snapshot === '' ? null : BigInt(snapshot),
    mark: mark === 'begun' || mark === 'ended' ? mark : null,
  }
}

function broken(pipeline: string, cause: unknown): LoadError {
  return new LoadError('state-corrupted', `The stored position of pipeline ${pipeline} is no place in topics of Kafka.`, { cause })
}
