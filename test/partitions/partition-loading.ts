// A pipeline in partitions between two databases, and what its ledger says afterwards.

import { boundTexts } from '../../src/core/partition.ts'
import type { PartitionPlan } from '../../src/core/partition-plan.ts'
import type { OpenProjectOptions, RunOptions } from '../../src/project/open-project.ts'
import type { FreshDatabase } from '../servers/fresh-database.ts'
import { type Loading, type LoadingOptions, startLoading } from '../servers/loading.ts'

type Options = Readonly<Record<string, unknown>>

/** Of `pipeline_partitions`; all as text. */
export type Entry = Readonly<Record<'key' | 'lower' | 'upper' | 'status' | 'attempt' | 'rows' | 'committed_at' | 'error', string | null>>

export interface Bounds {
  readonly key: string
  readonly lower: string | null
  readonly upper: string | null
}

/** The one pipeline `orders`, by the hour of `updated_at` unless it says otherwise. */
export function startPartitions(pipeline: Options = {}, options: LoadingOptions = {}): Promise<Loading> {
  return startLoading({ pipelines: { orders: byHour(pipeline) }, ...options })
}

export function byHour(pipeline: Options = {}): Options {
  return { pattern: 'partition', partition: { by: 'updated_at', unit: 'hour' }, ...pipeline }
}

/** In the order of the keys. */
export async function ledger(target: FreshDatabase, pipeline = 'orders'): Promise<readonly Entry[]> {
  const rows = await target.rows(
    `SELECT partition_key AS key, lower_bound AS lower, upper_bound AS upper, status, attempt, "rows", committed_at, error
     FROM pipeline_partitions WHERE pipeline_name = $1 ORDER BY partition_key COLLATE "C"`,
    [pipeline],
  )
  return rows as Entry[]
}

/** How often each committed partition was claimed, and when it was committed. */
export async function commits(target: FreshDatabase): Promise<Readonly<Record<string, string>>> {
  const [there] = await target.rows("SELECT to_regclass('pipeline_partitions') AS found")
  if (there?.found == null) return {}
  const done = (await ledger(target)).filter(({ status }) => status === 'committed')
  return Object.fromEntries(done.map(({ key, attempt, committed_at }) => [key, `${attempt} ${committed_at}`]))
}

export async function planOf(loading: Loading, pipeline: string, request: RunOptions = {}): Promise<PartitionPlan> {
  await using project = await loading.open()
  const plan = await project.plan(pipeline, request)
  if (!('partitions' in plan)) throw new Error('The pipeline has no partitions.')
  return plan
}

/** All partitions of a plan, in order. */
export async function boundsOf(loading: Loading, pipeline: string, request: RunOptions = {}): Promise<readonly Bounds[]> {
  return (await planOf(loading, pipeline, request)).partitions.map(({ partition }) => {
    const [lower, upper] = boundTexts(partition.bounds)
    return { key: partition.key, lower, upper }
  })
}

/** A run that must succeed. */
export async function succeed(loading: Loading, options: RunOptions = {}, settings: OpenProjectOptions['settings'] = {}) {
  const result = await loading.run(options, settings)
  if (result.error !== null) throw new Error(`${result.error.code}: ${result.error.message}`)
  return result
}
