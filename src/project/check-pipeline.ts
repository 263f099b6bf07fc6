// What to know or mend before a run of a pipeline. An error of the check itself is a finding too.

import type { Finding } from '../contract/finding.ts'
import { LoadError } from '../core/errors.ts'
import type { PartitionPlan } from '../core/partition-plan.ts'
import { type Pipeline, resolvePartitions, resolvePipeline, targetTables } from '../core/pipeline.ts'
import { printTableName, type TableName } from '../core/table.ts'
import { partitionsOf } from '../engine/observe-partitions.ts'
import type { AnyPlan, Ends } from './plan-pipeline.ts'

/** `ends`, `plan` and `feed` are asked for when they are needed: what they throw is what is to be found. */
export async function checkPipeline(
  pipeline: Pipeline,
  ends: () => Promise<Ends>,
  plan: () => Promise<AnyPlan>,
  feed: () => Promise<readonly Finding[]>,
  placed: (error: LoadError) => { readonly code: string; readonly message: string; readonly hint: string },
): Promise<readonly Finding[]> {
  const findings: Finding[] = []
  const tries: (() => Promise<readonly Finding[]>)[] = [
    async () => checkSource(pipeline, await ends()),
    async () => checkTarget(pipeline, await ends()),
    feed,
    // Planning meets what nothing above looks at: schema conflicts, a changed definition, a missing target.
    async () => {
      const planned = await plan()
      return 'partitions' in planned && pipeline.pattern === 'partition' ? rowsOutside(pipeline.target.table, planned, await ends()) : []
    },
  ]
  for (const attempt of tries) {
    try {
      findings.push(...(await attempt()))
    } catch (error) {
      if (!(error instanceof LoadError)) throw error
      const { code, message, hint } = placed(error)
      if (!findings.some((one) => one.code === code && one.severity === 'error')) findings.push({ severity: 'error', code, message, hint })
    }
  }
  return findings
}

async function checkSource(pipeline: Pipeline, { source }: Ends): Promise<readonly Finding[]> {
  if (pipeline.pattern === 'cdc') return (await source.log?.check(pipeline)) ?? []
  const table = await source.describe(pipeline)
  return pipeline.pattern === 'partition'
    ? ((await source.checkPartitions?.(resolvePartitions(pipeline, table), table)) ?? [])
    : ((await source.check?.(resolvePipeline(pipeline, table), table)) ?? [])
}

async function checkTarget(pipeline: Pipeline, { target }: Ends): Promise<readonly Finding[]> {
  const findings: Finding[] = []
  for (const table of targetTables(pipeline)) findings.push(...((await target.check?.(table)) ?? []))
  return findings
}

async function rowsOutside(
  table: TableName,
  { pipeline, by, partitions, makesTable }: PartitionPlan,
  { target }: Ends,
): Promise<readonly Finding[]> {
  if (makesTable) return []
  const count = await partitionsOf(target, pipeline).countOutside?.(
    table,
    by.column,
    partitions.map(({ partition }) => partition),
  )
  if (count === undefined || count === 0) return []
  return [
    {
      severity: 'warning',
      code: 'rows-outside',
      message: `${count} rows of target table ${printTableName(table)} are in none of the partitions of ${pipeline}: no load will ever replace them.`,
      hint: 'They may be of partitions before `first`. `--full-refresh` deletes them.',
    },
  ]
}
