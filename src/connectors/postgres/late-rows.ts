// Which way of catching late rows a pipeline gets, and why. A way that would lose or double rows here is refused.

import { LoadError } from '../../core/errors.ts'
import type { LatePlan } from '../../core/head.ts'
import type { ResolvedPipeline } from '../../core/pipeline.ts'
import { isRepeatable } from '../../core/plan.ts'
import { columnNamed } from '../../core/table.ts'
import type { Cursor } from './cursor.ts'
import type { PostgresTable } from './describe.ts'

/** Facts about the server and the role on which the choice depends. */
export interface Surroundings {
  readonly standby: boolean
  /** The role sees when other sessions' transactions began. */
  readonly seesSessions: boolean
  /** Rows are written by logical replication: their times are another server's. */
  readonly subscribed: boolean
}

/** A sweep every so many runs, where the bound alone is trusted in between. */
export const SWEEP_EVERY = 20

/** Throws `late-rows-unsafe`. */
export function chooseLateRows(pipeline: ResolvedPipeline, table: PostgresTable, cursor: Cursor, around: Surroundings): LatePlan {
  const asked = pipeline.lateRows
  const unsafe = (why: string, hint?: string): LoadError =>
    new LoadError('late-rows-unsafe', `Pipeline ${pipeline.name}: ${why}.`, hint === undefined ? {} : { hint })
  const noBound = whyNoBound(cursor, around)
  const noSweep = whyNoSweep(pipeline, table)
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
      if (noBound !== null)
        throw unsafe(`late_rows: bound can't be relied on, for ${noBound}`, 'Use `late_rows: sweep`, or make the bound possible.')
      return { mode: 'bound', reason: 'asked for' }
    case 'sweep':
      if (noSweep !== null) throw unsafe(`late_rows: sweep is not possible, for ${noSweep}`)
      return { mode: 'sweep', reason: 'asked for' }
    case 'auto':
      if (noBound === null)
        return { mode: 'bound', reason: 'times of this cursor are given by the database, and open transactions can be seen' }
      if (noSweep === null) return { mode: 'sweep', reason: noBound }
      throw unsafe(`neither a bound nor a sweep can be relied on: ${noBound}; ${noSweep}`, adviceFor(cursor, around))
  }
}

function adviceFor(cursor: Cursor, around: Surroundings): string {
  if (cursor.family !== 'number' && !around.seesSessions)
    return 'Grant it: GRANT pg_read_all_stats TO the role of the source connection; or give the pipeline a `key`.'
  return 'Give the pipeline a `key` so that it can merge, add an xid8 column and use `late_rows: { xid8: column }`, or accept losses with `late_rows: none`.'
}

function whyNoBound(cursor: Cursor, around: Surroundings): string | null {
  if (cursor.family === 'number') return 'a number says nothing about when its row was committed'
  if (cursor.family !== 'instant' && cursor.zone === null)
    return `"${cursor.name}" has no time zone, and cursor_time_zone does not name one`
  if (around.standby) return "a standby does not show the primary's open transactions"
  if (around.subscribed) return 'the table is filled by logical replication, which keeps the times of another server'
  if (!around.seesSessions) return 'the role may not see when other transactions began (pg_read_all_stats)'
  return null
}

function whyNoSweep(pipeline: ResolvedPipeline, table: PostgresTable): string | null {
  if (table.relationKind !== 'r' && table.relationKind !== 'p' && table.relationKind !== 'm')
    return 'only tables show which transaction wrote a row'
  if (!isRepeatable(pipeline.write)) return `${pipeline.write} would double the rows that a sweep reads again`
  return null
}
