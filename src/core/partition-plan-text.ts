// A plan in partitions, in lines for people: what would be loaded and why, and what is left alone.

import { boundTexts } from './partition.ts'
import type { PartitionPlan, PartitionReason, PlannedPartition } from './partition-plan.ts'
import { bytesText, changeText, count } from './plan-text.ts'

/** A plan of ten thousand partitions is no use in full; so many are shown of each reason. */
const SHOWN = 12

const WHY: Readonly<Record<PartitionReason, string>> = {
  new: 'not loaded yet',
  unfinished: 'was not finished',
  failed: 'failed before',
  asked: 'asked for',
  changed: 'changed at the source',
  open: 'still open when it was loaded: loaded again if it has changed',
  lookback: 'within lookback: loaded again if it has changed',
  all: 'everything is loaded again',
  committed: 'is loaded',
  'not asked': 'not asked for',
  'not closed yet': 'not over yet, and append loads each partition once',
}

export function partitionPlanText(plan: PartitionPlan, whole = false): readonly string[] {
  const { loads, partitions } = plan
  const size = plan.estimatedRows === null ? '' : `, about ${count(plan.estimatedRows, 'row')}${bytes(plan.estimatedBytes)}`
  const head =
    loads.length === 0
      ? `is up to date: ${count(partitions.length, 'partition')}, nothing to do`
      : `${count(loads.length, 'partition')} of ${partitions.length} to load${size}`
  const lines = [`${plan.pipeline}  ${head}`]
  if (loads.length > 0) {
    const snapshot = plan.consistency === 'run' ? 'all in one snapshot' : 'each in a snapshot of its own'
    lines.push(`  how         ${plan.load.strategy} as ${plan.load.format} by ${count(plan.workers, 'worker')}, ${snapshot}`)
  }
  lines.push(...plan.changes.map((change) => `  target      ${changeText(change)}`))
  for (const [reason, some] of byReason(partitions)) lines.push(...group(reason, some, whole))
  return lines
}

function byReason(partitions: readonly PlannedPartition[]): ReadonlyMap<PartitionReason, readonly PlannedPartition[]> {
  const groups = new Map<PartitionReason, PlannedPartition[]>()
  for (const one of partitions) {
    const some = groups.get(one.reason)
    if (some === undefined) groups.set(one.reason, [one])
    else some.push(one)
  }
  return groups
}

function group(reason: PartitionReason, some: readonly PlannedPartition[], whole: boolean): string[] {
  const verb = some[0]?.action === 'load' ? 'load' : 'skip'
  const title = `  ${verb}        ${count(some.length, 'partition')}: ${WHY[reason]}`
  if (verb === 'skip' && !whole) return [some.length === 0 ? title : `${title} (${span(some)})`]
  const shown = whole ? some : some.slice(0, SHOWN)
  const rest = some.length - shown.length
  return [
    title,
    ...shown.map(line),
    ...(rest > 0 ? [`              … and ${rest} more, up to ${some.at(-1)?.partition.key} (-v shows all)`] : []),
  ]
}

function span(some: readonly PlannedPartition[]): string {
  const [first, last] = [some[0]?.partition.key ?? '', some.at(-1)?.partition.key ?? '']
  return some.length === 1 ? first : some.length === 2 ? `${first}, ${last}` : `${first} … ${last}`
}

function line({ partition, estimatedRows, estimatedBytes, seen }: PlannedPartition): string {
  const [lower, upper] = boundTexts(partition.bounds)
  const bounds = partition.bounds.kind === 'range' ? `  [${lower}, ${upper})` : ''
  const size = estimatedRows === null ? '' : `  about ${count(estimatedRows, 'row')}${bytes(estimatedBytes)}`
  const error = seen?.status === 'failed' && seen.error !== null ? `  ${seen.error}` : ''
  return `              ${partition.key}${bounds}${size}${error}`
}

function bytes(number: number | null): string {
  return number === null ? '' : ` (${bytesText(number)})`
}
