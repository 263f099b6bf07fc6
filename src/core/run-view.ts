// Events → what there is to show of each pipeline. Terminal and web page fold with the same function.

import type { PartitionCounts, PipelineResult, RunEvent } from './event.ts'
import type { PartitionPlan } from './partition-plan.ts'
import { beginPartitions, foldPartition, type PartitionView, rowsOnTheirWay, strip } from './partition-view.ts'
import type { Plan } from './plan.ts'
import { bytesText, count, grouped, holdText } from './plan-text.ts'
import { placeInLog, watermarkOf } from './position.ts'

export interface PipelineView {
  readonly pipeline: string
  readonly phase: 'looking' | 'reading' | 'applying' | 'committing' | 'waiting' | 'following' | 'finished'
  readonly slice: number
  readonly slices: number
  readonly estimatedRows: number | null
  /** Of slices that are committed. */
  readonly committedRows: number
  readonly committedBytes: number
  /** Of the slice on its way. */
  readonly rows: number
  readonly bytes: number
  readonly partitions: PartitionView | null
  /** Of a log that is followed: how old the newest change was when it was in. */
  readonly lagMs: number | null
  /** Of a log that is followed: changes a second, lately. */
  readonly perSecond: number | null
  readonly result: PipelineResult | null
}

export function beginView(pipeline: string): PipelineView {
  return {
    pipeline,
    phase: 'looking',
    slice: 0,
    slices: 0,
    estimatedRows: null,
    committedRows: 0,
    committedBytes: 0,
    rows: 0,
    bytes: 0,
    partitions: null,
    lagMs: null,
    perSecond: null,
    result: null,
  }
}

export function foldEvent(view: PipelineView, event: RunEvent): PipelineView {
  if (event.kind === 'partitions-planned')
    return { ...view, phase: 'reading', estimatedRows: event.plan.estimatedRows, partitions: beginPartitions(event), committedRows: 0 }
  if (view.partitions !== null) return foldInPartitions({ ...view, partitions: foldPartition(view.partitions, event) }, event)
  return foldInSlices(view, event)
}

function foldInPartitions(view: PipelineView, event: RunEvent): PipelineView {
  if (event.kind === 'slice-started' || event.kind === 'followed') return foldInSlices({ ...view, partitions: null }, event)
  if (event.kind === 'planned') return foldInSlices({ ...view, partitions: null, committedRows: 0, committedBytes: 0 }, event)
  if (event.kind === 'partition-committed')
    return { ...view, committedRows: view.committedRows + event.read, committedBytes: view.committedBytes + event.bytes }
  return event.kind === 'retrying' || event.kind === 'phase' || event.kind === 'pipeline-finished' ? foldInSlices(view, event) : view
}

function foldInSlices(view: PipelineView, event: RunEvent): PipelineView {
  switch (event.kind) {
    case 'planned':
      return { ...view, slices: event.plan.steps.length, estimatedRows: event.plan.estimatedRows }
    case 'slice-started':
      return { ...view, phase: 'reading', slice: event.slice, slices: event.of, rows: 0, bytes: 0 }
    case 'progress':
      return { ...view, rows: event.rows, bytes: event.bytes }
    case 'phase':
      return { ...view, phase: event.phase }
    case 'followed':
      return { ...view, phase: 'following', lagMs: event.lagMs, perSecond: event.perSecond }
    case 'committed':
      return {
        ...view,
        committedRows: view.committedRows + event.read,
        committedBytes: view.committedBytes + view.bytes,
        rows: 0,
        bytes: 0,
      }
    case 'retrying':
      return { ...view, phase: 'waiting', rows: 0, bytes: 0 }
    case 'pipeline-finished':
      return { ...view, phase: 'finished', result: event.result }
    default:
      return view
  }
}

/** One line: phase, rows, rows a second, bytes, share and time left. */
export function progressLine(view: PipelineView, seconds: number, columns = 0): string {
  const { partitions } = view
  const onTheirWay = partitions === null ? view : rowsOnTheirWay(partitions)
  const rows = view.committedRows + onTheirWay.rows
  const parts: string[] =
    partitions === null
      ? [view.slices > 1 ? `${view.phase} ${view.slice}/${view.slices}` : view.phase]
      : [view.phase === 'applying' ? `${shareText(partitions)}, finishing` : shareText(partitions)]
  if (rows > 0) parts.push(count(rows, 'row'), rateText(view, rows, seconds), bytesText(view.committedBytes + onTheirWay.bytes))
  if (view.estimatedRows !== null && view.estimatedRows > 0 && rows > 0) {
    const share = Math.min(rows / view.estimatedRows, 0.99)
    parts.push(`${Math.floor(share * 100)} %`, `${durationText((seconds / share) * (1 - share))} left`)
  }
  if (view.lagMs !== null) parts.push(`${lagText(view.lagMs)} behind`)
  const text = parts.join('  ')
  // The strip takes the room that is left.
  const room = columns - view.pipeline.length - text.length - 6
  return partitions === null || room < SHORTEST_STRIP
    ? `${view.pipeline}  ${text}`
    : `${view.pipeline}  ${strip(partitions, room)}  ${text}`
}

function rateText({ phase, perSecond }: PipelineView, rows: number, seconds: number): string {
  if (phase === 'following' && perSecond !== null) return `${grouped(perSecond)} changes/s`
  return `${grouped(rows / Math.max(seconds, 0.001))}/s`
}

const SHORTEST_STRIP = 8

function shareText({ committed, failed, elsewhere, states }: PartitionView): string {
  const rest = [failed > 0 ? `${grouped(failed)} failed` : '', elsewhere > 0 ? `${grouped(elsewhere)} elsewhere` : '']
  return [`${grouped(committed)}/${grouped(states.length)}`, ...rest.filter((one) => one !== '')].join(', ')
}

/** What is planned and why so, for those who asked to hear more. */
export function plannedLines(plan: Plan): readonly string[] {
  const holds = plan.heldBy.map((hold) => `${plan.pipeline}  the watermark is held by ${holdText(hold)}`)
  return [...holds, `${plan.pipeline}  ${count(plan.steps.length, 'slice')} to load; late rows: ${plan.late.mode} (${plan.late.reason})`]
}

export function plannedPartitionLines(plan: PartitionPlan): readonly string[] {
  const { loads, partitions, workers, consistency } = plan
  return [
    `${plan.pipeline}  ${loads.length} of ${count(partitions.length, 'partition')} to load by ${count(workers, 'worker')}; ${consistency === 'run' ? 'all in one snapshot' : 'each in a snapshot of its own'}`,
  ]
}

export function failedPartitionLine(event: Extract<RunEvent, { kind: 'partition-failed' }>): string {
  return `${event.pipeline}  partition ${event.partition} failed with ${event.code}: ${event.message}${event.again ? ' Trying again.' : ''}`
}

/** What a run came to, in one line; the watermark is left out where it would not fit into `columns`. */
export function resultLine(result: PipelineResult, columns = Number.POSITIVE_INFINITY): string {
  const { rows } = result
  const took = `in ${result.seconds.toFixed(result.seconds < 10 ? 2 : 1)} s`
  if (result.error !== null) return `${result.pipeline}  ${result.status}: ${result.error.message}`
  if (result.status === 'up-to-date')
    return `${result.pipeline}  up to date${result.partitions === null ? '' : `; ${partitionsText(result.partitions)}`}`
  if (result.status === 'held') return `${result.pipeline}  held: rows wait for a transaction to end`
  const kinds = (['inserted', 'updated', 'deleted', 'unchanged', 'deduplicated', 'quarantined'] as const).filter((kind) => rows[kind] > 0)
  const detail = kinds.map((kind) => `${grouped(rows[kind])} ${kind}`).join(', ')
  const rescued = rows.rescued > 0 ? `, ${grouped(rows.rescued)} rescued by the sweep` : ''
  const rate = rows.read > 0 ? `, ${grouped(rows.read / Math.max(result.seconds, 0.001))} rows/s` : ''
  const line = `${result.pipeline}  loaded ${count(rows.read, 'row')}${detail === '' ? '' : ` (${detail}${rescued})`} ${took}${rate}`
  const whole = `${line}; ${placeText(result)}`
  return whole.length > columns ? line : whole
}

export function durationText(seconds: number): string {
  if (seconds < 60) return `${Math.ceil(seconds)} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`
}

function partitionsText({ total, committed, skipped, failed }: PartitionCounts): string {
  const kinds = [
    [committed, 'committed'],
    [skipped, 'skipped'],
    [failed, 'failed'],
  ] as const
  const detail = kinds.filter(([number]) => number > 0).map(([number, kind]) => `${grouped(number)} ${kind}`)
  return `${count(total, 'partition')}${detail.length === 0 ? '' : `: ${detail.join(', ')}`}`
}

function placeText({ partitions, to }: PipelineResult): string {
  if (partitions !== null) return partitionsText(partitions)
  return to?.kind === 'log' ? `position ${placeInLog(to)}` : `watermark ${watermarkOf(to) ?? 'not set'}`
}

function lagText(ms: number): string {
  return ms < 1000 ? `${Math.max(0, Math.round(ms))} ms` : durationText(ms / 1000)
}
