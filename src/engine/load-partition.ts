// One claimed partition: read in one snapshot, written and marked in the ledger in one commit.

import type { PieceReader } from '../contract/partition-reader.ts'
import type { PartitionWriter } from '../contract/target.ts'
import { asLoadError } from '../core/errors.ts'
import { type Load, NO_ROWS, type RowCounts } from '../core/load.ts'
import { type PartitionPlan, partitionLoad } from '../core/partition-plan.ts'
import { type Copied, commitUnlessStopped, copyChunks, stopIfAsked } from './copy-chunks.ts'
import type { Machinery } from './machinery.ts'
import type { Claimed } from './partition-queue.ts'

export interface PartitionOutcome extends Copied {
  readonly rows: RowCounts
}

interface Ends {
  readonly reader: PieceReader
  readonly writer: PartitionWriter
}

/** Throws `state-conflict` where another claim was made meanwhile. */
export async function loadPartition(
  claimed: Claimed,
  plan: PartitionPlan,
  { reader, writer }: Ends,
  machinery: Machinery,
): Promise<PartitionOutcome> {
  const { claim, planned } = claimed
  await reader.begin()
  try {
    const compares = planned.compares || planned.remembers
    const checksum = compares ? ((await reader.checksum?.(planned.partition, plan.load.columns)) ?? null) : null
    if (planned.compares && isFirstSinceSeen(claimed) && checksum !== null && checksum === planned.seen?.checksum) {
      await writer.confirm(claim, checksum, planned.closed)
      return { read: 0, bytes: 0, rows: NO_ROWS }
    }
    const load = withAbsence(claimed, partitionLoad(plan, planned, machinery.runId))
    try {
      return await copyOnce(claimed, load, checksum, { reader, writer }, machinery)
    } catch (thrown) {
      // PostgreSQL's own partitions have their keys apart, so that what collides there came twice.
      const moves = load.strategy === 'overwrite-partition' && load.key.length > 0 && plan.replaceBy === 'delete'
      const moved = moves && asLoadError(thrown).code === 'duplicate-key'
      if (!moved || load.partition === null) throw thrown
      // A row has come here from another partition, in which its old self still is.
      return await copyOnce(
        claimed,
        { ...load, partition: { ...load.partition, absent: false, byKey: true } },
        checksum,
        { reader, writer },
        machinery,
      )
    }
  } finally {
    await reader.end()
  }
}

/** Nobody else can have filled it, or loaded other content: whoever was seen running it may have committed it after that. */
function isFirstSinceSeen({ claim, planned }: Claimed): boolean {
  return claim.attempt === (planned.seen?.attempt ?? 0) + 1 && planned.seen?.status !== 'running'
}

function withAbsence(claimed: Claimed, load: Load): Load {
  if (load.partition === null || isFirstSinceSeen(claimed)) return load
  return { ...load, partition: { ...load.partition, absent: false } }
}

async function copyOnce(
  { claim, planned }: Claimed,
  load: Load,
  checksum: string | null,
  { reader, writer }: Ends,
  machinery: Machinery,
): Promise<PartitionOutcome> {
  const { emit, reach, signal, settings } = machinery
  stopIfAsked(signal)
  const stage = await writer.begin(load)
  reach('stage-begun')
  let settled = false
  try {
    stopIfAsked(signal)
    const { format, columns } = load
    const chunks = reader.read(planned.partition, { format, columns, chunkBytes: settings.chunkBytes, signal })
    const { read, bytes } = await copyChunks(chunks, format, stage, reach, (copied) =>
      emit({ kind: 'partition-progress', pipeline: load.pipeline, partition: claim.key, rows: copied.read, bytes: copied.bytes }),
    )
    stopIfAsked(signal)
    reach('before-commit')
    const rows = await commitUnlessStopped(stage, { kind: 'partition', claim, checksum, closed: planned.closed }, read, signal)
    settled = true
    reach('after-commit')
    return { read, bytes, rows }
  } finally {
    if (!settled) await stage.abort()
  }
}
