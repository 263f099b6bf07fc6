// What a history is about: a pipeline, and how its source is written to. Each family promises to lose and double nothing for
// exactly the writers that it allows; the weak ones promise less, and must be seen to.

import type { LateRows, WatermarkPipeline } from '../../src/core/pipeline.ts'
import type { WriteStrategyName } from '../../src/core/write-strategy.ts'
import type { Random } from './random.ts'

export interface Scenario {
  readonly family: Family
  readonly pipeline: WatermarkPipeline
  readonly cursor: 'time' | 'number'
  /** Who gives the cursor its value: the start of the transaction, the clock, a sequence, or anyone. */
  readonly values: 'start' | 'clock' | 'sequence' | 'anyone'
  /** The source keeps the key unique; otherwise rows are only inserted. */
  readonly keyed: boolean
  readonly changes: boolean
  readonly removes: boolean
  readonly nullCursors: boolean
  readonly nullKeys: boolean
  readonly clockSteps: boolean
  readonly alters: boolean
  readonly seesSessions: boolean
  readonly marginMicros: bigint
  readonly sliceRows: number
}

export const FAMILIES = ['bound-merge', 'bound-append', 'sweep', 'xid8', 'xid8-append', 'replace', 'long-lag'] as const
/** Promise less than to lose nothing. */
export const WEAK_FAMILIES = ['none', 'short-lag'] as const

export type Family = (typeof FAMILIES)[number] | (typeof WEAK_FAMILIES)[number]

/** Where every clock begins. */
export const CLOCK = 1_700_000_000_000_000n

export function makeScenario(random: Random, family: Family): Scenario {
  const inserting = family === 'bound-append' || family === 'xid8-append' || family === 'long-lag'
  const trusting =
    family === 'bound-merge' || family === 'bound-append' || family === 'long-lag' || family === 'short-lag' || family === 'none'
  const keyed = family === 'sweep' || family === 'xid8' ? true : random.chance(0.75)
  const seesSessions = family !== 'sweep' || random.chance(0.5)
  const cursor = trusting || random.chance(0.5) ? 'time' : 'number'
  const nullCursors = random.chance(0.15)
  const nullKeys = !keyed && (family === 'bound-merge' || family === 'replace') && random.chance(0.2)
  const write = chooseWrite(random, family)
  const starts = (family === 'bound-merge' || family === 'bound-append' || family === 'replace') && random.chance(0.1)
  const start = starts ? (cursor === 'time' ? String(CLOCK + BigInt(random.below(50_000))) : String(random.below(15))) : null
  return {
    family,
    cursor,
    keyed,
    seesSessions,
    pipeline: {
      ...makePipeline(
        write,
        lateRows(random, family, cursor, seesSessions),
        nullCursors ? chooseNulls(random, family, keyed) : 'error',
        keyed || write === 'append' || (write === 'replace' && random.chance(0.4)) ? null : ['id'],
      ),
      start,
    },
    values: trusting
      ? random.of(['start', 'start', 'clock'])
      : cursor === 'number'
        ? random.of(['sequence', 'sequence', 'anyone'])
        : random.of(['start', 'clock', 'anyone']),
    changes: keyed && !inserting,
    removes: keyed && !inserting,
    nullCursors,
    nullKeys: nullKeys && (write !== 'replace' || random.chance(0.5)),
    clockSteps: !trusting && random.chance(0.3),
    alters: random.chance(0.2),
    marginMicros: random.of([0n, 0n, 500n]),
    sliceRows: random.of([1, 2, 3, 1000]),
  }
}

function chooseWrite(random: Random, family: Family): WriteStrategyName {
  if (family === 'bound-append' || family === 'xid8-append') return 'append'
  if (family === 'replace') return 'replace'
  return family === 'long-lag' ? random.of(['merge', 'append']) : random.of(['merge', 'merge', 'delete-insert'])
}

function lateRows(random: Random, family: Family, cursor: Scenario['cursor'], seesSessions: boolean): LateRows {
  if (family === 'bound-merge' || family === 'bound-append') return { kind: random.of(['bound', 'auto']) }
  if (family === 'sweep') return { kind: cursor === 'number' || !seesSessions ? random.of(['sweep', 'auto']) : 'sweep' }
  if (family === 'xid8' || family === 'xid8-append') return { kind: 'xid8', column: 'tx' }
  if (family === 'long-lag') return { kind: 'lag', seconds: 1000 }
  if (family === 'short-lag') return { kind: 'lag', seconds: 0.001 }
  return { kind: family === 'none' ? 'none' : 'auto' }
}

function chooseNulls(random: Random, family: Family, keyed: boolean): WatermarkPipeline['nullCursor'] {
  if (family === 'bound-append' || family === 'xid8-append' || family === 'long-lag' || !keyed) return random.of(['error', 'exclude'])
  return random.of(['error', 'include', 'exclude'])
}

function makePipeline(
  write: WriteStrategyName,
  late: LateRows,
  nullCursor: WatermarkPipeline['nullCursor'],
  key: WatermarkPipeline['key'],
): WatermarkPipeline {
  return {
    name: 'orders',
    pattern: 'watermark',
    source: { connection: 'source', table: { schema: null, name: 'orders' }, query: null },
    target: { connection: 'target', table: { schema: null, name: 'orders' } },
    cursor: 'at',
    cursorTimeZone: null,
    start: null,
    key,
    write,
    lateRows: late,
    nullCursor,
    firstLoad: null,
    where: null,
    columns: { include: null, exclude: [] },
    onSchemaChange: 'evolve',
  }
}
