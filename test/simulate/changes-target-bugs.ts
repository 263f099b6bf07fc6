// Known mistakes of those who fold, apply and commit changes, put back one at a time between the real engine and what it works with.

import type { MemoryTarget } from '../../src/connectors/memory/target.ts'
import type { ChangeLoad, ChangeTarget, ChangeWriter } from '../../src/contract/log.ts'
import { DELETED_AT } from '../../src/core/change-marks.ts'
import { type ChangesChunk, DELETE, NONE, NULL, TRUNCATE, UNCHANGED, UPDATE } from '../../src/core/changes-chunk.ts'
import { LoadError } from '../../src/core/errors.ts'
import type { FoldedTable } from '../../src/core/fold-changes.ts'
import { addCounts } from '../../src/core/load.ts'
import { but } from './but.ts'
import type { MemoryChangeWriter } from './change-target.ts'
import type { ChangesBug } from './changes-history.ts'

type Bend = (writer: MemoryChangeWriter, target: MemoryTarget, act: () => void, load: ChangeLoad) => Partial<ChangeWriter>

/** A target whose writers are bent. */
function bentWriter(bend: Bend): NonNullable<ChangesBug['changes']> {
  return (target, changes, act) =>
    but<ChangeTarget>(changes, {
      open: async (load) => {
        const writer = await changes.open(load)
        return but<ChangeWriter>(writer, bend(writer, target, act, load))
      },
    })
}

/** What folding has left of the changes, bent before it is applied. */
const bentFold = (bend: (folded: FoldedTable, chunk: ChangesChunk, load: ChangeLoad) => FoldedTable): NonNullable<ChangesBug['changes']> =>
  bentWriter((writer, _target, _act, load) => ({
    apply: (chunk, folded) =>
      writer.apply(
        chunk,
        folded.map((one) => bend(one, chunk, load)),
      ),
  }))

/** Of each key only its last change counts. */
function lastChanges({ table, truncated }: FoldedTable, chunk: ChangesChunk, load: ChangeLoad): FoldedTable {
  const last = new Map<string, { readonly row: number; readonly live: boolean }>()
  for (let change = 0; change < chunk.count; change++) {
    if (chunk.table[change] !== table) continue
    const [op, row, old] = [chunk.op[change], chunk.row[change] as number, chunk.old[change] as number]
    if (op === TRUNCATE) last.clear()
    if (old !== NONE) last.set(keyOf(chunk, old, table, load), { row: old, live: false })
    if (op !== DELETE && op !== TRUNCATE) last.set(keyOf(chunk, row, table, load), { row, live: true })
  }
  const entries = [...last.values()]
  const rows = entries.flatMap(({ row, live }) => (live ? [row] : []))
  return {
    table,
    truncated,
    deletes: entries.flatMap(({ row, live }) => (live ? [] : [row])),
    rows,
    bases: rows.map((row) => (lacks(chunk, row, table, load) ? row : NONE)),
  }
}

function keyOf(chunk: ChangesChunk, row: number, table: number, load: ChangeLoad): string {
  const { columns = [], key = [] } = load.tables[table] ?? {}
  return key
    .map((name) => row + columns.findIndex(({ target }) => target.name === name))
    .map((cell) =>
      Buffer.from(chunk.bytes.subarray(chunk.start[cell], (chunk.start[cell] as number) + (chunk.length[cell] as number))).toString('hex'),
    )
    .join()
}

function lacks(chunk: ChangesChunk, row: number, table: number, load: ChangeLoad): boolean {
  return (load.tables[table]?.columns ?? []).some((_, place) => chunk.length[row + place] === UNCHANGED)
}

/** Keys that rows have moved away from. */
function movedFrom(chunk: ChangesChunk): ReadonlySet<number> {
  const moved = new Set<number>()
  for (let change = 0; change < chunk.count; change++) if (chunk.op[change] === UPDATE) moved.add(chunk.old[change] as number)
  return moved
}

export const CHANGE_TARGET_BUGS: readonly ChangesBug[] = [
  {
    name: 'a value that was not sent again is written as NULL',
    changes: bentFold((folded, chunk, load) => {
      for (const row of folded.rows)
        for (const place of load.tables[folded.table]?.columns.keys() ?? [])
          if (chunk.length[row + place] === UNCHANGED) chunk.mark(row + place, NULL)
      return { ...folded, bases: folded.bases.map(() => NONE) }
    }),
  },
  {
    name: 'a row whose key changed is only inserted',
    changes: bentFold((folded, chunk) => {
      const moved = movedFrom(chunk)
      return { ...folded, deletes: folded.deletes.filter((row) => !moved.has(row)) }
    }),
  },
  {
    name: 'what a row lacks is looked for under its new key',
    changes: bentFold((folded) => ({
      ...folded,
      bases: folded.bases.map((base, place) => (base === NONE ? NONE : (folded.rows[place] as number))),
    })),
  },
  { name: 'of many changes of a row the last alone counts', changes: bentFold(lastChanges) },
  {
    name: 'a table is emptied after its rows came',
    changes: bentFold((folded) => (folded.truncated ? { ...folded, rows: [], bases: [] } : folded)),
  },
  { name: 'a table that is emptied keeps what it had', changes: bentFold((folded) => ({ ...folded, truncated: false })) },
  {
    name: 'old keys go before what their rows have is taken',
    changes: bentWriter((writer) => ({
      apply: async (chunk, folded) => {
        const without = folded.map((one) => ({ ...one, rows: [], bases: [] }))
        const gone = await writer.apply(chunk, without)
        return addCounts(
          gone,
          await writer.apply(
            chunk,
            folded.map((one) => ({ ...one, deletes: [], truncated: false })),
          ),
        )
      },
    })),
  },
  {
    name: 'a row that comes again stays marked as deleted',
    changes: bentWriter((writer, _target, _act, load) => ({
      apply: async (chunk, folded) => {
        const before = new Map(writer.open)
        const counts = await writer.apply(chunk, folded)
        for (const { table } of load.tables) {
          const now = writer.open?.get(table.name.name)
          const then = before.get(table.name.name)
          const place = now?.table.columns.findIndex(({ name }) => name === DELETED_AT) ?? -1
          if (now === undefined || then === undefined || place < 0) continue
          const marks = new Map(then.rows.map((row) => [row[0], row[place] ?? null]))
          writer.open?.set(table.name.name, {
            ...now,
            rows: now.rows.map((row) => row.with(place, row[place] ?? marks.get(row[0]) ?? null)),
          })
        }
        return counts
      },
    })),
  },
  {
    name: 'which change of its transaction one is, is counted anew in every part',
    changes: bentWriter((writer) => ({
      append: (chunk) => {
        chunk.transactions = chunk.transactions.map((one) => ({ ...one, before: 0 }))
        return writer.append(chunk)
      },
    })),
  },
  {
    name: 'what an attempt had applied when it failed stays',
    changes: bentWriter((writer, target) => ({
      abort: async () => {
        if (writer.open !== null) target.contents = { ...target.contents, tables: writer.open }
        await writer.abort()
      },
    })),
  },
  {
    name: 'each table is committed by itself',
    changes: bentWriter((writer, target, act) => ({
      commit: async (from, to) => {
        const before = target.contents
        await writer.commit(from, to)
        const after = target.contents
        const [first] = after.tables.keys()
        const old = before.tables.get(first ?? '')
        if (first === undefined || old === undefined) return
        target.contents = { ...after, tables: new Map(after.tables).set(first, old) }
        act()
        target.contents = after
      },
    })),
  },
  {
    name: 'the position is written before the rows',
    changes: bentWriter((writer, target, act) => ({
      commit: async (from, to) => {
        const before = target.contents
        await writer.commit(from, to)
        const after = target.contents
        target.contents = { ...after, tables: before.tables }
        act()
        target.contents = after
      },
    })),
  },
  {
    name: 'the position is written after the rows, or never',
    changes: bentWriter((writer, target, act) => ({
      commit: async (from, to) => {
        const before = target.contents
        await writer.commit(from, to)
        const after = target.contents
        target.contents = { ...after, states: before.states }
        act()
        if (to.epoch % 3n === 0n) throw new LoadError('connection-lost', 'The connection broke between rows and position.')
        target.contents = after
      },
    })),
  },
  {
    name: 'a failed commit passes for a commit',
    changes: bentWriter((writer, target) => ({
      commit: async (from, to) => {
        const before = target.contents
        await writer.commit(from, to)
        if (to.epoch % 2n === 0n) target.contents = before
      },
    })),
  },
  {
    name: 'the state is set without comparing',
    changes: bentWriter((writer, target) => ({
      commit: async (_from, to) => {
        const current = target.contents.states.get(to.pipeline)
        if (current !== undefined) await writer.commit(current, { ...to, epoch: current.epoch + 1n })
      },
    })),
  },
]
