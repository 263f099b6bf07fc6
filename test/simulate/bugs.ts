// Known mistakes, each of which has lost or doubled rows for somebody: put back one at a time, around the real engine. The
// suite must notice every one of them, or it proves nothing.

import type { MemoryDatabase, MemoryTable, Snapshot, Version } from '../../src/connectors/memory/database.ts'
import { MemorySource, type MemorySourceOptions } from '../../src/connectors/memory/source.ts'
import type { MemoryTarget } from '../../src/connectors/memory/target.ts'
import type { Stage, Target } from '../../src/contract/target.ts'
import { LoadError } from '../../src/core/errors.ts'
import type { Head, RunRequest } from '../../src/core/head.ts'
import { invariant } from '../../src/core/invariant.ts'
import type { Load } from '../../src/core/load.ts'
import type { ResolvedPipeline } from '../../src/core/pipeline.ts'
import type { WatermarkPosition } from '../../src/core/position.ts'
import type { Settlement } from '../../src/core/settlement.ts'
import type { Slice } from '../../src/core/slice.ts'
import type { State } from '../../src/core/state.ts'
import type { Table } from '../../src/core/table.ts'
import { but } from './but.ts'
import type { Bug } from './history.ts'
import type { Family } from './scenario.ts'

type HeadOf = (source: MemorySource, pipeline: ResolvedPipeline, table: Table, state: State | null, request: RunRequest) => Promise<Head>

/** A source whose head is bent after it was taken. */
function bentHead(
  bend: (slice: Slice, pipeline: ResolvedPipeline, source: MemorySource, state: State | null) => Slice,
): NonNullable<Bug['source']> {
  const head: HeadOf = async (source, pipeline, table, state, request) => {
    const seen = await MemorySource.prototype.head.call(source, pipeline, table, state, request)
    return seen.slice === null || request.from !== null ? seen : { ...seen, slice: bend(seen.slice, pipeline, source, state) }
  }
  return (database, options) =>
    new (class extends MemorySource {
      override head(pipeline: ResolvedPipeline, table: Table, state: State | null, request: RunRequest): Promise<Head> {
        return head(this, pipeline, table, state, request)
      }
    })(database, options)
}

/** The slice with its watermark moved. */
function moved({ upTo, ...slice }: Slice, move: (value: bigint) => bigint): Slice {
  const position = upTo as WatermarkPosition
  return { ...slice, upTo: position.value === null ? position : { ...position, value: String(move(BigInt(position.value))) } }
}

/** A target whose stages commit in a way of their own. */
function bentCommit(
  commit: (
    stage: Stage,
    target: MemoryTarget,
    load: Load,
    act: () => void,
    from: State | null,
    to: State,
    read: number,
  ) => ReturnType<Stage['commit']>,
): NonNullable<Bug['target']> {
  return (target, act) =>
    bentTarget(target, async (load) => {
      const stage = await target.begin(load)
      return but(stage, {
        commit: (settlement, read) => {
          const { from, to } = stateOf(settlement)
          return commit(stage, target, load, act, from, to, read)
        },
      })
    })
}

function stateOf(settlement: Settlement): { readonly from: State | null; readonly to: State } {
  invariant(settlement.kind === 'state', 'a watermark load settles a state')
  return settlement
}

function bentTarget(target: MemoryTarget, begin: Target['begin']): Target {
  return but<Target>(target, { begin })
}

class SnapshotFirst extends MemorySource {
  #kept: Snapshot | null = null

  override async head(pipeline: ResolvedPipeline, table: Table, state: State | null, request: RunRequest): Promise<Head> {
    this.#kept = null
    const kept = this.snapshot()
    const head = await super.head(pipeline, table, state, request)
    this.#kept = kept
    return head
  }

  override snapshot(): Snapshot {
    return this.#kept ?? super.snapshot()
  }
}

class BlindToPrepared extends MemorySource {
  override preparedWriters(): number {
    return 0
  }
}

class BlindToSessions extends MemorySource {
  override activity(): readonly bigint[] {
    return []
  }
}

/** `age(xmin) <= xmax - horizon`, where age() counts from the newest transaction of all. */
class WrongAge extends MemorySource {
  override isChanged = (xmin: number, horizon: number): boolean => {
    const planned = this.database.snapshot().xmax
    this.database.interrupt()
    return this.database.nextXid - xmin <= planned - horizon
  }
}

/** Pieces counted off by number instead of by value. */
class CountedPieces extends MemorySource {
  override async divide(_pipeline: ResolvedPipeline, _table: Table, slice: Slice, targetRows: number): Promise<readonly Slice[]> {
    const pieces = slice.range.everything ? 1 : Math.max(1, Math.round((slice.estimatedRows ?? 0) / targetRows))
    return Array.from({ length: pieces }, (_, at) =>
      Object.assign({ ...slice }, at < pieces - 1 ? { skip: at * targetRows, take: targetRows } : { skip: at * targetRows }),
    )
  }

  override isRead(
    pipeline: ResolvedPipeline,
    table: MemoryTable,
    slice: Slice & { skip?: number; take?: number },
    version: Version,
    snapshot: Snapshot,
  ): boolean {
    const isIn = (one: Version): boolean => super.isRead(pipeline, table, slice, one, snapshot)
    if (!isIn(version) || slice.skip === undefined) return isIn(version)
    const place = table.versions.filter(isIn).indexOf(version)
    return place >= slice.skip && place < slice.skip + (slice.take ?? Number.POSITIVE_INFINITY)
  }
}

/** Each piece claims to have delivered its upper end, which it left to the next one. */
class OpenPieces extends MemorySource {
  override async divide(pipeline: ResolvedPipeline, table: Table, slice: Slice, targetRows: number): Promise<readonly Slice[]> {
    const pieces = await super.divide(pipeline, table, slice, targetRows)
    return pieces.map((piece, at) => ({
      ...piece,
      range: { ...piece.range, ...(at < pieces.length - 1 ? { toClosed: false } : {}), ...(at > 0 ? { fromOpen: false } : {}) },
    }))
  }
}

/** Pieces are cut up to where rows are read, beyond what the watermark may claim. */
class PiecesBeyondBound extends MemorySource {
  override async divide(pipeline: ResolvedPipeline, table: Table, slice: Slice, targetRows: number): Promise<readonly Slice[]> {
    if (slice.range.to === null) return [slice]
    const upTo = { ...(slice.upTo as WatermarkPosition), value: slice.range.to }
    const pieces = await super.divide(pipeline, table, { ...slice, upTo }, targetRows)
    return [...pieces.slice(0, -1), { ...(pieces.at(-1) ?? slice), upTo: slice.upTo }]
  }
}

/** Columns that appear between the plan and the read are passed over. */
class StaleColumns extends MemorySource {
  override columnsOf(): string {
    return ''
  }
}

export interface SeededBug extends Bug {
  /** Where it shows. */
  readonly families: readonly Family[]
}

const source =
  (Made: new (database: MemoryDatabase, options: MemorySourceOptions) => MemorySource): NonNullable<Bug['source']> =>
  (database, options) =>
    new Made(database, options)

export const SOURCE_BUGS: readonly SeededBug[] = [
  {
    name: 'the lower end is left out',
    families: ['bound-append'],
    source: bentHead((slice) => ({ ...slice, range: { ...slice.range, fromOpen: slice.range.from !== null } })),
  },
  {
    name: 'the upper end is taken in, with append',
    families: ['bound-append'],
    source: bentHead((slice, { write }) => ({ ...slice, range: { ...slice.range, toClosed: slice.range.toClosed || write === 'append' } })),
  },
  { name: 'the snapshot is older than the bound', families: ['bound-merge', 'bound-append'], source: source(SnapshotFirst) },
  {
    name: 'the watermark is the greatest cursor seen',
    families: ['bound-merge', 'bound-append'],
    source: bentHead((slice, pipeline, from, state) => {
      const old = state?.position.kind === 'watermark' ? state.position.value : null
      const seen = from.candidates(pipeline).flatMap(({ cursor }) => (cursor === null ? [] : [cursor]))
      const naive = { ...slice, range: { ...slice.range, fromOpen: slice.range.from !== null } }
      return moved(naive, (bound) => [...seen, old === null ? bound : BigInt(old)].sort((a, b) => (a < b ? 1 : -1))[0] ?? bound)
    }),
  },
  {
    name: 'the watermark is cut to milliseconds',
    families: ['bound-append'],
    source: bentHead((slice) => moved(slice, (value) => value - (value % 1000n))),
  },
  {
    name: 'the bound is in another time zone',
    families: ['bound-merge', 'bound-append'],
    source: bentHead((slice) => moved(slice, (value) => value + 3_600_000_000n)),
  },
  { name: 'prepared transactions are overlooked', families: ['bound-merge', 'bound-append'], source: source(BlindToPrepared) },
  { name: 'open transactions are overlooked', families: ['bound-merge', 'bound-append'], source: source(BlindToSessions) },
  { name: 'the sweep counts ages from the wrong end', families: ['sweep'], source: source(WrongAge) },
  { name: 'pieces are counted off, each in its own snapshot', families: ['bound-merge', 'sweep'], source: source(CountedPieces) },
  { name: 'a piece claims the end that it left out', families: ['sweep'], source: source(OpenPieces) },
  { name: 'a piece claims more than the bound', families: ['bound-merge'], source: source(PiecesBeyondBound) },
  { name: 'new columns are passed over', families: ['sweep'], source: source(StaleColumns) },
]

export const TARGET_BUGS: readonly SeededBug[] = [
  {
    name: 'the position is written before the rows',
    families: ['bound-merge', 'bound-append'],
    target: (target, act) =>
      bentTarget(target, async (load) => {
        const stage = await target.begin({ ...load, changes: [] })
        return but(stage, {
          commit: async (settlement, read) => {
            const { from, to } = stateOf(settlement)
            const early = await target.begin({ ...load, strategy: 'append', replaces: null })
            await early.commit({ kind: 'state', from, to }, 0)
            act()
            if (to.epoch % 3n === 0n) throw new LoadError('connection-lost', 'The connection broke between position and rows.')
            return stage.commit({ kind: 'state', from: to, to }, read)
          },
        })
      }),
  },
  {
    name: 'the position is written in a transaction of its own',
    families: ['bound-merge', 'bound-append'],
    target: bentCommit(async (stage, target, _load, act, from, to, read) => {
      const { states } = target.contents
      const counts = await stage.commit({ kind: 'state', from, to }, read)
      const after = target.contents
      target.contents = { ...after, states }
      act()
      target.contents = { ...target.contents, states: after.states }
      return counts
    }),
  },
  {
    name: 'of rows that share a key not the newest stays',
    families: ['replace'],
    target: (target) => bentTarget(target, (load) => target.begin({ ...load, newestBy: null })),
  },
  {
    name: 'NULL in a key is accepted',
    families: ['bound-merge', 'replace'],
    target: (target) => bentTarget(target, (load) => target.begin({ ...load, keyGuaranteed: true })),
  },
  {
    name: 'a failed commit passes for a commit',
    families: ['bound-merge', 'bound-append'],
    target: bentCommit(async (stage, target, _load, _act, from, to, read) => {
      const before = target.contents
      const counts = await stage.commit({ kind: 'state', from, to }, read)
      if (to.epoch % 2n === 0n) target.contents = before
      return counts
    }),
  },
  {
    name: 'a replace shows an empty table on its way',
    families: ['replace'],
    target: bentCommit(async (stage, target, load, act, from, to, read) => {
      const old = target.contents.tables.get('orders')
      if (load.strategy === 'replace' && old !== undefined) {
        target.contents = { ...target.contents, tables: new Map([['orders', { ...old, rows: [] }]]) }
        act()
      }
      return stage.commit({ kind: 'state', from, to }, read)
    }),
  },
  {
    name: 'the state is set without comparing',
    families: ['bound-merge', 'bound-append'],
    target: bentCommit(async (stage, target, _load, _act, _from, to, read) => {
      const current = target.contents.states.get(to.pipeline) ?? null
      return stage.commit({ kind: 'state', from: current, to: { ...to, epoch: (current?.epoch ?? 0n) + 1n } }, read)
    }),
  },
]
