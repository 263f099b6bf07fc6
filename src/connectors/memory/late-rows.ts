// Which way of catching late rows a pipeline over a memory table gets. A way that would lose or double rows is refused.

import { LoadError } from '../../core/errors.ts'
import type { LatePlan } from '../../core/head.ts'
import type { ResolvedPipeline } from '../../core/pipeline.ts'
import { isRepeatable } from '../../core/plan.ts'
import { columnNamed, type Table } from '../../core/table.ts'
import type { Cursor } from './cursor.ts'

/** A sweep every so many runs, where the bound alone is trusted in between. */
export const SWEEP_EVERY = 20

/** Throws `late-rows-unsafe`. */
export function chooseLateRows(pipeline: ResolvedPipeline, table: Table, cursor: Cursor, seesSessions: boolean): LatePlan {
  const asked = pipeline.lateRows
  const unsafe = (why: string): LoadError => new LoadError('late-rows-unsafe', `Pipeline ${pipeline.name}: ${why}.`)
  const noBound =
    cursor.family === 'number'
      ? 'a number says nothing about when its row was committed'
      : seesSessions
        ? null
        : 'open transactions can not be seen'
  const noSweep = isRepeatable(pipeline.write) ? null : `${pipeline.write} would double the rows that a sweep reads again`
  switch (asked.kind) {
    case 'none':
      return { mode: 'none', reason: 'asked for; rows that commit late are lost' }
    case 'lag':
      if (cursor.family === 'number') throw unsafe('late_rows: lag needs a cursor that is a time')
      return { mode: 'lag', reason: `asked for; sound only while every transaction is shorter than ${asked.seconds} s` }
    case 'xid8':
      if (columnNamed(table, asked.column) === undefined) throw unsafe(`late_rows names the column "${asked.column}", which does not exist`)
      return { mode: 'xid8', reason: 'asked for' }
    case 'bound':
      if (noBound !== null) throw unsafe(`late_rows: bound can't be relied on, for ${noBound}`)
      return { mode: 'bound', reason: 'asked for' }
    case 'sweep':
      if (noSweep !== null) throw unsafe(`late_rows: sweep is not possible, for ${noSweep}`)
      return { mode: 'sweep', reason: 'asked for' }
    case 'auto':
      if (noBound === null) return { mode: 'bound', reason: 'open transactions can be seen' }
      if (noSweep === null) return { mode: 'sweep', reason: noBound }
      throw unsafe(`neither a bound nor a sweep can be relied on: ${noBound}; ${noSweep}`)
  }
}
