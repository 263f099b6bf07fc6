// Mistakes that one makes with topics of Debezium, each of which the simulation has to notice; and that without one it notices nothing.

import { expect, test } from 'vitest'
import type { MessageDecoder } from '../../src/connectors/kafka/topic-changes.ts'
import { parseTopicPlaces, printTopicPlaces } from '../../src/connectors/kafka/topic-position.ts'
import type { DebeziumMessage } from '../../src/formats/debezium.ts'
import { simulateTopics, type TopicBug } from './topics-history.ts'

const SEEDS = 200

/** Reads other messages than those that have come. */
function reading(change: (message: DebeziumMessage) => DebeziumMessage): (real: MessageDecoder) => MessageDecoder {
  return (real) => ({
    decode: (message, chunk) => real.decode(change(message), chunk),
    readKeyOnly: (message, chunk) => real.readKeyOnly(message, chunk),
  })
}

function rewriting(pattern: RegExp, by: (found: string) => string): (real: MessageDecoder) => MessageDecoder {
  return reading((message) => ({
    ...message,
    value: message.value === null ? null : Buffer.from(Buffer.from(message.value).toString().replaceAll(pattern, by)),
  }))
}

const BUGS: readonly TopicBug[] = [
  { name: 'the position is stored before the rows', positionFirst: true },
  {
    name: 'the offset of what was fetched is stored',
    stores: (end, head) => {
      const [place] = parseTopicPlaces(end, 'p').get('p.public.a')?.partitions ?? []
      const next = (parseTopicPlaces(head, 'p').get('p.public.a')?.partitions[0]?.next ?? 0n) as bigint
      return printTopicPlaces(new Map([['p.public.a', { id: 'id', partitions: [{ next, seen: place?.seen ?? null }] }]]))
    },
  },
  { name: 'an offset that is gone is reset to the latest', latest: true },
  { name: 'the placeholder of an unchanged value is written', decoder: rewriting(/__debezium_unavailable_value/g, (found) => `${found} `) },
  { name: 'integers pass through JSON.parse', decoder: rewriting(/\b\d{16}\b/g, (found) => String(Number(found) - (Number(found) % 16))) },
  { name: 'places in the log are compared as texts', decoder: rewriting(/(?<="lsn":|[["]"?)\d{3,4}\b/g, (found) => found.padEnd(9, '0')) },
  {
    name: 'what is written again is applied again: old values come back, and rows that are gone',
    decoder: (real) => ({
      decode: (message, chunk) => ({ ...real.decode(message, chunk), position: null }),
      readKeyOnly: (message, chunk) => real.readKeyOnly(message, chunk),
    }),
  },
  {
    name: 'a change of key is the new row alone',
    decoder: reading((message) => ({ ...message, headers: new Map([...message.headers].filter(([name]) => !name.endsWith('oldkey'))) })),
  },
  {
    name: 'a tombstone deletes, also a row that is newer',
    decoder: (real) => ({
      decode: (message, chunk) => {
        if (message.value !== null || message.key === null) return real.decode(message, chunk)
        const text = `{"before":${Buffer.from(message.key)},"after":null,"source":{"schema":"public","table":"a"},"op":"d"}`
        return { ...real.decode({ key: message.key, value: Buffer.from(text), headers: new Map() }, chunk), position: null }
      },
      readKeyOnly: (message, chunk) => real.readKeyOnly(message, chunk),
    }),
  },
]

/** Of a bug, rows that are wrong: an error would be no silent loss. */
async function failures(bug: TopicBug | null): Promise<string[]> {
  const found: string[] = []
  for (let seed = 1; seed <= SEEDS && (bug === null || found.length === 0); seed++)
    await simulateTopics(seed, bug).catch(({ message }: Error) => {
      if (bug === null || message.includes('the source has')) found.push(`seed ${seed}: ${message}`)
    })
  return found
}

test('the rows are those of the source, whoever dies and whatever is written again', async () => {
  expect(await failures(null)).toEqual([])
})

test.each(BUGS)('noticed: $name', async (bug) => {
  expect(await failures(bug)).toHaveLength(1)
})
