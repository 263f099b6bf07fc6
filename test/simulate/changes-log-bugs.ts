// Known mistakes of those who read a log, put back one at a time between the real engine and what it works with. The suite must notice
// every one of them, or it proves nothing.

import type { ChangeStream, LogBeginning, LogChunk, LogObservation, LogSource } from '../../src/contract/log.ts'
import type { CdcPipeline } from '../../src/core/pipeline.ts'
import type { Position } from '../../src/core/position.ts'
import type { State } from '../../src/core/state.ts'
import { but } from './but.ts'
import type { ChangesBug } from './changes-history.ts'
import { LoggedSource, logPosition, numberOf } from './logged-source.ts'
import type { LoggedChange, LoggedTransaction, LoggedWorld } from './logged-world.ts'

type MakeLog = NonNullable<ChangesBug['log']>

/** A source of a class of its own. */
const source =
  (Made: typeof LoggedSource): MakeLog =>
  (world, random, isDead) =>
    new Made(world, random, isDead)

/** A source whose stream is bent when it is opened. */
function bentStream(bend: (stream: ChangeStream, world: LoggedWorld) => Partial<ChangeStream>): MakeLog {
  return (world, random, isDead) => {
    const log = new LoggedSource(world, random, isDead)
    return but<LogSource>(log, {
      open: async (...asked) => {
        const stream = await log.open(...asked)
        return but(stream, bend(stream, world))
      },
    })
  }
}

/** A source whose chunks are bent on their way. */
const bentChunk = (bend: (chunk: LogChunk, stream: ChangeStream, world: LoggedWorld) => LogChunk): MakeLog =>
  bentStream((stream, world) => ({ next: async (waitMs) => bend(await stream.next(waitMs), stream, world) }))

class FromTheSlot extends LoggedSource {
  override async open(
    pipeline: CdcPipeline,
    seen: LogObservation,
    from: Position,
    format: string,
    until: Position | null,
  ): Promise<ChangeStream> {
    const { slot } = this.world
    return super.open(pipeline, seen, slot === null ? from : logPosition(slot.confirmed), format, until)
  }
}

class FromTheEnd extends LoggedSource {
  override async open(
    pipeline: CdcPipeline,
    seen: LogObservation,
    _from: Position,
    format: string,
    until: Position | null,
  ): Promise<ChangeStream> {
    return super.open(pipeline, seen, seen.head, format, until)
  }
}

class WithoutEnd extends LoggedSource {
  override async open(pipeline: CdcPipeline, seen: LogObservation, from: Position, format: string): Promise<ChangeStream> {
    return super.open(pipeline, seen, from, format, null)
  }
}

class SnapshotBeforeSlot extends LoggedSource {
  protected override beginning(position: number, moment: number): LogBeginning {
    return super.beginning(position, this.world.moments.findLast(({ end }) => end < moment)?.end ?? 0)
  }
}

class SlotBeforeSnapshot extends LoggedSource {
  override async begin(): Promise<LogBeginning> {
    const { position } = await super.begin()
    for (let acts = 0; acts < 5; acts++) this.world.act()
    return this.beginning(numberOf(position), this.world.head)
  }
}

class BlindToGaps extends LoggedSource {
  override observe(pipeline: CdcPipeline, state: State | null): Promise<LogObservation> {
    if (state?.position.kind === 'log') this.world.slot ??= { confirmed: this.world.head, reader: null }
    return super.observe(pipeline, null)
  }

  override async open(
    pipeline: CdcPipeline,
    seen: LogObservation,
    from: Position,
    format: string,
    until: Position | null,
  ): Promise<ChangeStream> {
    const start = Math.max(numberOf(from), this.world.slot?.confirmed ?? 0)
    return super.open(pipeline, seen, logPosition(start), format, until)
  }
}

class WithWhatWasUndone extends LoggedSource {
  override changesOf({ changes, undone }: LoggedTransaction): readonly LoggedChange[] {
    return [...changes, ...undone]
  }
}

class WithWhatWasRolledBack extends LoggedSource {
  override transactions(): readonly LoggedTransaction[] {
    return [...this.world.log, ...this.world.undone].sort((a, b) => a.end - b.end)
  }
}

/** Where each transaction began decides, as in a log that is read without waiting for commits. */
class InOrderOfBegin extends LoggedSource {
  override transactions(): readonly LoggedTransaction[] {
    const ends = this.world.log.map(({ end }) => end)
    return [...this.world.log].sort((a, b) => a.began - b.began).map((one, place) => ({ ...one, end: ends[place] as number }))
  }
}

class WithoutTruncates extends LoggedSource {
  override changesOf({ changes }: LoggedTransaction): readonly LoggedChange[] {
    return changes.filter(({ row, old }) => row !== null || old !== null)
  }
}

class WithoutOldKeys extends LoggedSource {
  override changesOf({ changes }: LoggedTransaction): readonly LoggedChange[] {
    return changes.map((change) => (change.row === null ? change : { ...change, old: null }))
  }
}

export const LOG_BUGS: readonly ChangesBug[] = [
  {
    name: 'a chunk is acknowledged when it arrives',
    log: bentChunk((chunk, stream) => {
      if (chunk.end !== null && chunk.changes.count > 0) stream.acknowledge(chunk.end)
      return chunk
    }),
  },
  {
    name: 'a sign of life acknowledges what was only sent',
    log: bentChunk((chunk, stream, world) => {
      if (chunk.transactions === 0) stream.acknowledge(logPosition(world.head))
      return chunk
    }),
  },
  {
    name: 'what has been sent counts as read where nothing comes for a while',
    log: bentChunk((chunk, _stream, world) =>
      chunk.changes.count === 0 && chunk.transactions === 0 ? { ...chunk, end: logPosition(world.head) } : chunk,
    ),
  },
  {
    name: 'a transaction that is larger than a chunk is committed in parts',
    log: bentStream((stream) => {
      let last: Position | null = null
      return {
        next: async (waitMs) => {
          const chunk = await stream.next(waitMs)
          last = chunk.end ?? last
          return { ...chunk, end: last }
        },
      }
    }),
  },
  {
    name: 'the end of a large transaction is stored with its first part',
    log: bentChunk((chunk) => {
      const position = chunk.changes.transactions.at(-1)?.position
      return chunk.end === null && position !== undefined ? { ...chunk, end: { kind: 'log', at: position } } : chunk
    }),
  },
  {
    name: 'of a chunk with several transactions the end of the first is stored',
    log: bentChunk((chunk) => {
      const position = chunk.changes.transactions[0]?.position
      return chunk.transactions > 1 && position !== undefined ? { ...chunk, end: { kind: 'log', at: position } } : chunk
    }),
  },
  { name: 'reading begins where the slot is, not where the target is', log: source(FromTheSlot) },
  { name: 'reading begins where the log ends', log: source(FromTheEnd) },
  { name: 'the snapshot is older than the slot', log: source(SnapshotBeforeSlot) },
  { name: 'the snapshot is newer than the slot', log: source(SlotBeforeSnapshot) },
  { name: 'the others go past the moment in which a table is copied again', log: source(WithoutEnd) },
  { name: 'a slot that is gone or further is passed over', log: source(BlindToGaps) },
  { name: 'what was undone by ROLLBACK TO is applied', log: source(WithWhatWasUndone) },
  { name: 'what was rolled back is applied', log: source(WithWhatWasRolledBack) },
  { name: 'transactions come in the order in which they began', log: source(InOrderOfBegin) },
  { name: 'TRUNCATE is passed over', log: source(WithoutTruncates) },
  { name: 'the old key of a row that moved is passed over', log: source(WithoutOldKeys) },
]
