// A plan in lines for people: what would be read, why so, and what holds it back.

import { describeType } from './data-type.ts'
import type { Hold } from './head.ts'
import type { Plan, Step } from './plan.ts'
import { watermarkOf } from './position.ts'
import type { SchemaChange } from './schema-change.ts'
import type { CursorRange } from './slice.ts'
import { printTableName } from './table.ts'

export function planText(plan: Plan): readonly string[] {
  const lines = [`${plan.pipeline}  ${summary(plan)}`]
  lines.push(`  late rows   ${plan.late.mode}: ${plan.late.reason}`)
  lines.push(
    `  watermark   ${watermarkOf(plan.from?.position ?? null) ?? '(none yet)'}${plan.steps.length === 0 ? '' : ` → ${watermarkOf(plan.to) ?? '(none)'}`}`,
  )
  for (const hold of plan.heldBy) lines.push(`  held by     ${holdText(hold)}`)
  if (plan.waiting > 0) lines.push(`  waiting     ${count(plan.waiting, 'row')} dated in the future`)
  for (const [index, step] of plan.steps.entries()) lines.push(...stepText(step, index + 1, plan.steps.length))
  return lines
}

function summary(plan: Plan): string {
  if (plan.steps.length === 0) return plan.heldBy.length > 0 ? 'nothing to read until what holds it ends' : 'is up to date: nothing to do'
  const rows = plan.estimatedRows === null ? '' : `, about ${count(plan.estimatedRows, 'row')}`
  return `${count(plan.steps.length, 'slice')}${rows}`
}

function stepText({ slice, load }: Step, number: number, of: number): string[] {
  const rows = slice.estimatedRows === null ? '' : `about ${count(slice.estimatedRows, 'row')}, `
  const how = load.creates
    ? `into the new table ${printTableName(load.table.name)}`
    : `${load.strategy} into ${printTableName(load.table.name)}`
  return [
    `  slice ${number}/${of}   ${rangeText(slice.range)}: ${rows}${how} as ${load.format}`,
    ...load.changes.map((change) => `              ${changeText(change)}`),
  ]
}

function rangeText(range: CursorRange): string {
  if (range.everything) return 'everything'
  if (range.changedSince !== null && range.changedSince.column !== null) return `rows of transactions from ${range.changedSince.horizon} on`
  const from = range.from === null ? 'from the first row' : `from ${range.from}${range.fromOpen ? ' (not included)' : ''}`
  const to = range.to === null ? 'to the last' : `to ${range.to}${range.toClosed ? '' : ' (not included)'}`
  return `${from} ${to}${range.changedSince === null ? '' : ', and all rows of new transactions'}${range.nulls ? ', and rows without a cursor value' : ''}`
}

export function changeText(change: SchemaChange): string {
  if (change.kind === 'create-table')
    return `creates ${printTableName(change.table.name)} with ${count(change.table.columns.length, 'column')}`
  const type = change.column.native ?? describeType(change.column.type)
  if (change.kind === 'widen-column') return `widens column "${change.column.name}" from ${change.was} to ${type}`
  return `adds column "${change.column.name}" ${type}${change.column.backfill == null ? '' : ', older rows get the default of the source'}`
}

export function holdText(hold: Hold): string {
  const age = hold.ageSeconds === null ? '' : `, open for ${Math.round(hold.ageSeconds)} s`
  switch (hold.kind) {
    case 'transaction':
      return `a transaction of process ${hold.pid}${hold.application === null || hold.application === '' ? '' : ` (${hold.application})`}${age}`
    case 'prepared-transaction':
      return 'a prepared transaction that was neither committed nor rolled back (see pg_prepared_xacts)'
    case 'clock':
      return "the source's clock, which is behind the watermark"
    case 'replica':
      return 'a replica that lags behind'
  }
}

/** `1 row`, `2,000,000 rows`. */
export function count(number: number, noun: string): string {
  return `${grouped(number)} ${noun}${number === 1 ? '' : 's'}`
}

export function grouped(number: number): string {
  return Math.round(number)
    .toString()
    .replaceAll(/\B(?=(\d{3})+$)/g, ',')
}

export function bytesText(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit += 1
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`
}
