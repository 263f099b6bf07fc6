// Known mistakes of loads in partitions, put back one at a time between the real engine and what it works with. The suite must notice
// every one of them, or it proves nothing.

import { isInPartition } from '../../src/connectors/memory/in-partition.ts'
import { MemorySource } from '../../src/connectors/memory/source.ts'
import type { LedgerEntry } from '../../src/connectors/memory/state-store.ts'
import type { MemoryTarget } from '../../src/connectors/memory/target.ts'
import type { PartitionReader } from '../../src/contract/partition-reader.ts'
import type { PartitionedTable, Source } from '../../src/contract/source.ts'
import type { PartitionTarget, PartitionWriter, Stage, Target } from '../../src/contract/target.ts'
import { LoadError } from '../../src/core/errors.ts'
import { invariant } from '../../src/core/invariant.ts'
import type { Load } from '../../src/core/load.ts'
import type { Partition } from '../../src/core/partition.ts'
import type { Settlement } from '../../src/core/settlement.ts'
import { but } from './but.ts'
import type { PartitionBug } from './partition-history.ts'

type Opened = Parameters<NonNullable<Source['openPartitions']>>

/** A source whose partitions are bent. */
function bentTable(
  bend: (table: PartitionedTable, source: MemorySource, opened: Opened) => Partial<PartitionedTable>,
): NonNullable<PartitionBug['source']> {
  return (source) =>
    but<Source>(source, {
      openPartitions: async (...opened) => {
        const table = await source.openPartitions(...opened)
        return but(table, bend(table, source, opened))
      },
    })
}

function bentReader(
  bend: (reader: PartitionReader, source: MemorySource, opened: Opened) => Partial<PartitionReader>,
): NonNullable<PartitionBug['source']> {
  return bentTable((table, source, opened) => ({
    openReader: async () => {
      const reader = await table.openReader()
      return but(reader, bend(reader, source, opened))
    },
  }))
}

/** A target whose ledger is bent. */
function bentLedger(
  bend: (ledger: PartitionTarget, target: MemoryTarget) => Partial<PartitionTarget>,
): NonNullable<PartitionBug['target']> {
  return (target) => but<Target>(target, { partitions: but<PartitionTarget>(target.partitions, bend(target.partitions, target)) })
}

function bentWriter(
  bend: (writer: PartitionWriter, target: MemoryTarget) => Partial<PartitionWriter>,
): NonNullable<PartitionBug['target']> {
  return bentLedger((ledger, target) => ({
    openWriter: async () => {
      const writer = await ledger.openWriter()
      return but(writer, bend(writer, target))
    },
  }))
}

/** A target whose loads are bent before their stages begin. */
function bentLoad(bend: (load: Load, target: MemoryTarget) => Load): NonNullable<PartitionBug['target']> {
  return bentWriter((writer, target) => ({ begin: (load) => writer.begin(bend(load, target)) }))
}

type Settled = Extract<Settlement, { kind: 'partition' }>

/** A target whose stages commit in a way of their own. */
function bentCommit(
  commit: (stage: Stage, settlement: Settled, read: number, target: MemoryTarget, act: () => void) => ReturnType<Stage['commit']>,
): NonNullable<PartitionBug['target']> {
  return (target, act) =>
    bentWriter((writer) => ({
      begin: async (load) => {
        const stage = await writer.begin(load)
        return but(stage, {
          commit: (settlement, read) => {
            invariant(settlement.kind === 'partition', 'a partition is settled')
            return commit(stage, settlement, read, target, act)
          },
        })
      },
    }))(target, act)
}

/** Entries of the ledger, changed behind everyone's back. */
function changeLedger(target: MemoryTarget, change: (entry: LedgerEntry) => LedgerEntry): void {
  const { contents } = target
  const entries = [...(contents.ledgers.get('orders')?.values() ?? [])].map(change)
  target.contents = { ...contents, ledgers: new Map([['orders', new Map(entries.map((entry) => [entry.key, entry]))]]) }
}

/** A partition whose bounds lie elsewhere. */
function shifted(one: Partition, lower: bigint, upper: bigint): Partition {
  const { bounds } = one
  if (bounds.kind !== 'range') return one
  return { ...one, bounds: { kind: 'range', lower: String(BigInt(bounds.lower) + lower), upper: String(BigInt(bounds.upper) + upper) } }
}

function withBounds(load: Load, lower: bigint, upper: bigint): Load {
  if (load.partition === null) return load
  return { ...load, partition: { ...load.partition, partition: shifted(load.partition.partition, lower, upper) } }
}

class BlindToPrepared extends MemorySource {
  override settledBefore(): bigint {
    let settled = this.now()
    for (const { state, start } of this.database.unfinished) if (state === 'open' && start < settled) settled = start
    return settled
  }
}

/** What each run has prepared. */
const wanted = new Map<string, readonly Partition[]>()

export const PARTITION_SOURCE_BUGS: readonly PartitionBug[] = [
  {
    name: 'the lower bound is left out',
    source: bentReader((reader) => ({ read: (one, options) => reader.read(shifted(one, 1n, 0n), options) })),
  },
  {
    name: 'the upper bound is taken in',
    source: bentReader((reader) => ({ read: (one, options) => reader.read(shifted(one, 0n, 1n), options) })),
  },
  {
    name: 'rows of NULL are in no partition',
    from: 50,
    source: bentTable((table) => ({
      partitions: async (...asked) => (await table.partitions(...asked)).filter(({ bounds }) => bounds.kind !== 'null'),
    })),
  },
  {
    name: 'every reader of a run has a snapshot of its own',
    from: 35,
    source: (source) =>
      but<Source>(source, {
        openPartitions: (pipeline, table, options) => source.openPartitions(pipeline, table, { ...options, shared: false }),
      }),
  },
  {
    name: 'the checksum is of another snapshot than the rows',
    source: bentReader((_reader, source, [pipeline, table, options]) => ({
      checksum: async (...asked) => {
        const other = await (await source.openPartitions(pipeline, table, { ...options, shared: false })).openReader()
        await other.begin()
        return other.checksum(...asked)
      },
    })),
  },
  {
    name: 'what gets no more rows is told from a moment after the snapshot',
    from: 90,
    source: bentTable((table, source, opened) => ({
      partitions: async (...asked) => {
        const seen = await table.partitions(...asked)
        const later = await (await source.openPartitions(...opened)).partitions(...asked)
        return seen.map((one) => ({ ...one, closed: later.find(({ key }) => key === one.key)?.closed ?? one.closed }))
      },
    })),
  },
  {
    name: 'prepared transactions are overlooked where it is told what gets no more rows',
    from: 320,
    source: ({ database }) => new BlindToPrepared(database, { marginMicros: 0n }),
  },
]

export const PARTITION_TARGET_BUGS: readonly PartitionBug[] = [
  {
    name: 'a frozen process that wakes up commits over those that came after it',
    from: 70,
    target: bentCommit(async (stage, settlement, read, target) => {
      const { claim } = settlement
      const { attempt, runId } = claim
      changeLedger(target, (entry) => (entry.key === claim.key ? { ...entry, attempt, runId, status: 'running' } : entry))
      return stage.commit(settlement, read)
    }),
  },
  {
    name: 'a lease never ends',
    target: bentWriter((writer, target) => ({
      claim: async (pipeline, runId, keys) => {
        changeLedger(target, (entry) => (entry.status === 'running' ? { ...entry, leaseUntil: target.clock + 10_000_000n } : entry))
        return writer.claim(pipeline, runId, keys)
      },
    })),
  },
  {
    name: 'what is committed is claimed again',
    target: bentWriter((writer, target) => ({
      claim: async (pipeline, runId, keys) => {
        changeLedger(target, (entry) =>
          entry.status === 'committed' && keys.includes(entry.key) ? { ...entry, status: 'planned' } : entry,
        )
        return writer.claim(pipeline, runId, keys)
      },
    })),
  },
  { name: 'more is deleted than was read', target: bentLoad((load) => withBounds(load, 0n, 1n)) },
  { name: 'less is deleted than was read', target: bentLoad((load) => withBounds(load, 1n, 0n)) },
  {
    name: 'bounds are computed anew when a run goes on',
    target: bentLedger((ledger) => ({
      readLedger: async (...asked) =>
        (await ledger.readLedger(...asked)).map((row) => {
          if (row.status === 'committed' || row.lower === null || row.upper === null || row.lower === row.upper) return row
          if (!/^-?\d+$/.test(row.lower) || row.key.startsWith('bucket')) return row
          return { ...row, lower: String(BigInt(row.lower) + 1n), upper: String(BigInt(row.upper) + 1n) }
        }),
    })),
  },
  {
    name: 'the row of the ledger is committed before the rows',
    target: bentCommit(async (stage, settlement, read, target, act) => {
      const before = target.contents
      const counts = await stage.commit(settlement, read)
      const { tables } = target.contents
      target.contents = { ...target.contents, tables: before.tables }
      act()
      target.contents = { ...target.contents, tables }
      return counts
    }),
  },
  {
    name: 'the row of the ledger is committed after the rows, or never',
    target: bentCommit(async (stage, settlement, read, target, act) => {
      const before = target.contents
      const counts = await stage.commit(settlement, read)
      const { ledgers } = target.contents
      target.contents = { ...target.contents, ledgers: before.ledgers }
      act()
      if (settlement.claim.attempt % 2 === 0) throw new LoadError('connection-lost', 'The connection broke between rows and ledger.')
      target.contents = { ...target.contents, ledgers }
      return counts
    }),
  },
  {
    name: 'a failed commit passes for a commit',
    target: bentCommit(async (stage, settlement, read, target) => {
      const before = target.contents
      const counts = await stage.commit(settlement, read)
      if (settlement.claim.attempt % 2 === 0) target.contents = before
      return counts
    }),
  },
  {
    name: 'a partition is empty for a moment while it is replaced',
    target: bentCommit(async (stage, settlement, read, target, act) => {
      const old = target.contents.tables.get('orders')
      if (old !== undefined) target.contents = { ...target.contents, tables: new Map([['orders', { ...old, rows: [] }]]) }
      act()
      if (old !== undefined) target.contents = { ...target.contents, tables: new Map([['orders', old]]) }
      return stage.commit(settlement, read)
    }),
  },
  {
    name: 'everything is absent from a table that the pipeline makes',
    target: bentLoad((load, target) => {
      const { position } = target.contents.states.get('orders') ?? {}
      const isMaking = position?.kind === 'partitions' && position.table !== undefined
      return load.partition === null ? load : { ...load, partition: { ...load.partition, absent: load.partition.absent || isMaking } }
    }),
  },
  {
    name: 'a row that moved stays where it was, too',
    target: (target) =>
      bentWriter((writer) => ({
        begin: async (load) => {
          const moved = load.partition?.byKey === true
          const stage = await writer.begin(load.partition === null ? load : { ...load, partition: { ...load.partition, byKey: false } })
          if (!moved) return stage
          return {
            write: (chunk) => stage.write(chunk),
            abort: () => stage.abort(),
            commit: async (settlement, read) => {
              const old = target.contents.tables.get('orders')
              if (old !== undefined) target.contents = { ...target.contents, tables: new Map([['orders', { ...old, unique: [] }]]) }
              try {
                return await stage.commit(settlement, read)
              } finally {
                const now = target.contents.tables.get('orders')
                if (now !== undefined)
                  target.contents = { ...target.contents, tables: new Map([['orders', { ...now, unique: old?.unique ?? [] }]]) }
              }
            },
          }
        },
      }))(target, () => {}),
  },
  {
    name: 'a full refresh deletes what other runs have loaded meanwhile',
    from: 1230,
    target: bentLedger((ledger, target) => ({
      prepare: async (preparation) => {
        const state = await ledger.prepare(preparation)
        wanted.set(
          preparation.runId,
          preparation.wanted.map(({ partition }) => partition),
        )
        return state
      },
      finish: async (ending) => {
        const ended = await ledger.finish(ending)
        const kept = wanted.get(ending.runId) ?? []
        const now = target.contents.tables.get('orders')
        if (!ending.purges || ending.cause !== 'full-refresh' || now === undefined) return ended
        const rows = now.rows.filter((row) => kept.some(({ bounds }) => isInPartition(row[1] ?? null, bounds)))
        target.contents = { ...target.contents, tables: new Map([['orders', { ...now, rows }]]) }
        return ended
      },
    })),
  },
  {
    name: 'a full refresh that was cut short is forgotten',
    target: bentLedger((ledger, target) => ({
      prepare: async (preparation) => {
        const state = await ledger.prepare(preparation)
        const { contents } = target
        const row = contents.states.get('orders')
        if (row?.position.kind !== 'partitions') return state
        const { refreshing, ...position } = row.position
        target.contents = { ...contents, states: new Map(contents.states).set('orders', { ...row, position }) }
        return { ...state, position }
      },
    })),
  },
  {
    name: 'attempts begin anew when the ledger forgets',
    from: 3100,
    target: bentLedger((ledger, target) => ({
      prepare: async (preparation) => {
        const state = await ledger.prepare(preparation)
        if (preparation.forget) changeLedger(target, (entry) => ({ ...entry, attempt: 0 }))
        return state
      },
    })),
  },
]
