// What no single field of a partition pipeline shows.

import { checkTableRules, type Fields, mapIn, type RuleContext } from './table-rules.ts'

const TIME_FIELDS = ['first', 'last', 'time_zone'] as const
const WAYS = ['unit', 'size', 'rows', 'buckets', 'values'] as const

/** Reports every broken rule. */
export function checkPartitionRules(raw: Fields, context: RuleContext): void {
  const { report } = context
  const partition = mapIn(raw, 'partition')
  checkTableRules(raw, { role: 'partition column', column: partition?.['by'] }, context)
  if (partition !== null) checkPartition(partition, context)
  if (raw['write'] === 'append' && partition?.['nulls'] === 'include')
    report(
      ['partition', 'nulls'],
      'is a partition that is never over, and so could never be appended for good; use write: overwrite-partition',
    )
  if (raw['allow_shrink'] === true && raw['max_shrink'] !== undefined)
    report(['max_shrink'], 'has no meaning beside allow_shrink: true; keep one of them', 'key')
  const write = raw['write'] ?? 'overwrite-partition'
  if (raw['replace_by'] !== undefined && raw['replace_by'] !== 'delete' && write !== 'overwrite-partition')
    report(['replace_by'], 'needs write: overwrite-partition')
  if (write === 'append' && typeof raw['lookback'] === 'number' && raw['lookback'] > 0)
    report(['lookback'], 'would append partitions again, and so double their rows; use write: overwrite-partition')
  if (write === 'append' && raw['detect'] !== undefined && raw['detect'] !== 'none')
    report(['detect'], 'would append partitions again, and so double their rows; use write: overwrite-partition')
}

function checkPartition(partition: Fields, { report }: RuleContext): void {
  const ways = WAYS.filter((field) => partition[field] !== undefined)
  for (const field of ways.slice(1)) report(['partition', field], `stands beside ${ways[0]}; keep one of them`, 'key')
  if (partition['unit'] === undefined)
    for (const field of TIME_FIELDS)
      if (partition[field] !== undefined) report(['partition', field], 'needs a unit: hour, day, week, month, quarter or year', 'key')
  const { first, last, values } = partition
  if (isPlainDate(first) && isPlainDate(last) && first > last)
    report(['partition', 'last'], `lies before first (${first}); both are included`)
  if (Array.isArray(values)) {
    const texts = values.map(String)
    for (const [index, value] of texts.entries())
      if (texts.indexOf(value) < index)
        report(['partition', 'values', index], 'stands in the list twice; a row can be in one partition only')
  }
}

/** Of one form, so that the order of the texts is the order of the days. */
function isPlainDate(value: unknown): value is string {
  return typeof value === 'string' && /^\d{4}-\d\d-\d\d$/.test(value)
}
