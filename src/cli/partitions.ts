import { LoadError } from '../core/errors.ts'
import { ORDINARY_RUN } from '../core/head.ts'
import type { LedgerRow, PartitionStatus } from '../core/ledger.ts'
import { gaps } from '../core/partition-plan.ts'
import type { Pipeline } from '../core/pipeline.ts'
import { grouped } from '../core/plan-text.ts'
import { openProject } from '../project/open-project.ts'
import { partitionsJson } from '../reporters/json.ts'
import type { Console } from './console.ts'
import { runRequest } from './run.ts'
import { aligned } from './status.ts'

const STATUSES: readonly PartitionStatus[] = ['planned', 'running', 'committed', 'failed']

export interface ListFlags {
  readonly status?: string
  readonly from?: string
  readonly to?: string
}

/** `partitions list`: the ledger, and what is missing in it. */
export async function listPartitions(console: Console, name: string, flags: ListFlags): Promise<number> {
  await using project = await openProject(console.options.config ?? null)
  const all = await project.partitions(name, flags.status === undefined ? {} : { status: statusOf(flags.status) })
  const rows = all.filter((row) => lies(row, flags))
  console.answer(
    aligned([
      ['PARTITION', 'STATUS', 'ATTEMPT', 'ROWS', 'COMMITTED (UTC)', 'ERROR'],
      ...rows.map((row) => [
        row.key,
        row.status,
        String(row.attempt),
        row.rows === null ? '-' : grouped(Number(row.rows)),
        row.committedAt?.slice(0, 19) ?? '-',
        row.error ?? '',
      ]),
    ]),
  )
  const [pipeline] = await project.pipelines([name])
  if (flags.status === undefined && pipeline !== undefined && hasRanges(pipeline))
    console.answer(gaps(rows).map(({ from, to }) => `missing: from ${from} to ${to} (not included) there is no partition`))
  console.data(partitionsJson(name, rows))
  return 0
}

/** Values and buckets leave nothing out between them. */
function hasRanges(pipeline: Pipeline): boolean {
  const by = pipeline.pattern === 'partition' ? pipeline.by : pipeline.pattern === 'watermark' ? pipeline.firstLoad?.by : undefined
  return by !== undefined && by.kind !== 'list' && by.kind !== 'hash'
}

function statusOf(text: string): PartitionStatus {
  const status = STATUSES.find((one) => one === text)
  if (status === undefined)
    throw new LoadError('bad-usage', `There is no status "${text}".`, { hint: `There are: ${STATUSES.join(', ')}.` })
  return status
}

/** Bounds are compared as they are stored: numbers as numbers, dates and times as texts, which sort alike. */
function lies({ key, lower, upper }: LedgerRow, { from, to }: ListFlags): boolean {
  const before = (a: string, b: string): boolean => (/^-?\d+$/.test(a) && /^-?\d+$/.test(b) ? BigInt(a) < BigInt(b) : a < b)
  const after = from === undefined || key === from || (upper !== null && before(from, upper))
  return after && (to === undefined || (lower !== null && before(lower, to)))
}

/** `partitions retry`: what the ledger knows and is not committed. */
export async function retryPartitions(console: Console, name: string): Promise<number> {
  return runRequest(console, [name], { ...ORDINARY_RUN, retryOnly: true, agreed: console.options.yes ?? false })
}

/** `partitions reload`: chosen ones again, whatever the ledger says. */
export async function reloadPartitions(console: Console, name: string, keys: readonly string[]): Promise<number> {
  return runRequest(console, [name], { ...ORDINARY_RUN, partitions: keys, agreed: console.options.yes ?? false })
}
