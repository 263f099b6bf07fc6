import { expect, it } from 'vitest'
import type { ChangeStream, ChangeWriter, LogChunk } from '../contract/log.ts'
import type { Target } from '../contract/target.ts'
import { ChangesChunk, INSERT } from '../core/changes-chunk.ts'
import { NO_ROWS } from '../core/load.ts'
import type { CdcPipeline } from '../core/pipeline.ts'
import type { LogPosition, Position } from '../core/position.ts'
import { Follower } from './follower.ts'
import { DEFAULT_SETTINGS, type Machinery } from './machinery.ts'
import type { Progress } from './progress.ts'

const at = (text: string): LogPosition => ({ kind: 'log', at: text })

function chunk(changes: number, end: string | null, transactions: number): LogChunk {
  const made = new ChangesChunk()
  for (let number = 0; number < changes; number++) made.add(0, INSERT)
  return { changes: made, end: end === null ? null : at(end), transactions, committedAt: null }
}

/** Follows to `goal`, or until the chunks are over; what the writer and the source were told, in order. */
async function follow(chunks: readonly LogChunk[], goal: string | null, stops = new AbortController()): Promise<readonly string[]> {
  const told: string[] = []
  const left = [...chunks]
  const printed = (position: Position): string => (position.kind === 'log' ? position.at : '?')
  const stream: ChangeStream = {
    next: async () => {
      const next = left.shift()
      if (left.length === 0 && goal === null) stops.abort()
      if (next === undefined) throw new Error('The follower wants more than there is.')
      return next
    },
    recycle: () => {},
    ping: () => {},
    acknowledge: (position: Position) => told.push(`acknowledged ${printed(position)}`),
    reaches: (position: Position, other: Position) => printed(position) >= printed(other),
    close: async () => {},
  }
  const writer: ChangeWriter = {
    apply: async () => NO_ROWS,
    append: async (changes: ChangesChunk) => {
      told.push(`wrote ${changes.count}`)
      return { ...NO_ROWS, inserted: changes.count }
    },
    commit: async (_, to) => void told.push(`committed ${printed(to.position)}`),
    record: async () => void told.push('recorded'),
    keepMessage: async () => {},
    replay: async () => ({ replayed: 0, left: 0 }),
    kept: 0,
    abort: async () => void told.push('aborted'),
    close: async () => {},
  }
  const machinery: Machinery = {
    source: {} as Machinery['source'],
    target: {} as Target,
    signal: stops.signal,
    emit: () => {},
    runId: 'run',
    reach: () => {},
    settings: DEFAULT_SETTINGS,
  }
  const pipeline = { name: 'p', pattern: 'cdc', write: 'append' } as CdcPipeline
  const state = { pipeline: 'p', position: at('a'), epoch: 1n, fingerprint: '', unswept: 0 }
  const progress = { read: 0, bytes: 0, slices: 0, rows: NO_ROWS, changed: false } as Progress
  await new Follower(pipeline, machinery, progress, stream, writer, [], state, goal === null ? null : at(goal)).follow()
  return told
}

it('commits a large transaction where its end comes without a change, and nowhere before', async () => {
  // While a transaction is on its way, an empty chunk says how far everything before it was read.
  expect(await follow([chunk(2, null, 0), chunk(0, 'a', 0), chunk(3, null, 0), chunk(0, 'c', 1)], 'c')).toEqual([
    'wrote 2',
    'wrote 3',
    'wrote 0',
    'committed c',
    'acknowledged c',
    'recorded',
  ])
})

it('leaves nothing of a transaction that a signal has cut short', async () => {
  expect(await follow([chunk(1, 'b', 1), chunk(2, null, 0)], null)).toEqual([
    'wrote 1',
    'committed b',
    'acknowledged b',
    'wrote 2',
    'aborted',
    'recorded',
  ])
})

it('stores how far there was nothing once the goal is reached', async () => {
  expect(await follow([chunk(0, 'b', 1), chunk(0, 'c', 0)], 'c')).toEqual(['committed c', 'acknowledged c'])
})

it('commits every chunk that ends between two transactions', async () => {
  expect(await follow([chunk(2, 'b', 2), chunk(1, 'c', 1)], 'c')).toEqual([
    'wrote 2',
    'committed b',
    'acknowledged b',
    'wrote 1',
    'committed c',
    'acknowledged c',
    'recorded',
  ])
})
