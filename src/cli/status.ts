import type { LogStatus, StreamStatus } from '../contract/log.ts'
import { asLoadError } from '../core/errors.ts'
import type { LedgerSummary } from '../core/ledger.ts'
import type { CdcPipeline, Pipeline } from '../core/pipeline.ts'
import { bytesText, count, grouped } from '../core/plan-text.ts'
import { placeInLog, watermarkOf } from '../core/position.ts'
import { durationText } from '../core/run-view.ts'
import type { StateRow } from '../core/state.ts'
import { type OpenProject, openProject } from '../project/open-project.ts'
import { type ConnectorFacts, type LogFacts, statusJson } from '../reporters/json.ts'
import type { Console } from './console.ts'

/** Shows how far each pipeline is. */
export async function status(console: Console, names: readonly string[]): Promise<number> {
  await using project = await openProject(console.options.config ?? null)
  const rows = []
  const notes: string[] = []
  const lines: string[][] = [['PIPELINE', 'POSITION', 'LAG', 'LAST RUN (UTC)', 'ROWS']]
  for (const pipeline of await project.pipelines(names)) {
    const state = await project.state(pipeline.name)
    const isInPieces = pipeline.pattern === 'watermark' && state?.position.kind === 'snapshot'
    const partitions = pipeline.pattern === 'partition' || isInPieces ? await project.partitionSummary(pipeline.name) : null
    const kept = await project.logStatus(pipeline.name)
    const log = pipeline.pattern === 'cdc' && kept !== null ? logFacts(pipeline.source.slot, kept) : null
    const lag = log === null ? lagSeconds(state) : log.lag_seconds
    if (log !== null && pipeline.pattern === 'cdc') notes.push(...notesOf(pipeline, log, kept?.streams ?? []))
    const connector = await connectorFacts(project, pipeline)
    if (connector !== null) notes.push(connectorText(pipeline.name, connector))
    const quarantined = pipeline.pattern === 'cdc' ? (await project.quarantined(pipeline.name)).length : 0
    rows.push(statusJson(pipeline.name, pipeline.pattern, state, lag, partitions, log, quarantined, connector))
    if (quarantined > 0) notes.push(`${pipeline.name}: ${count(quarantined, 'row')} in quarantine; see \`tidemark quarantine list\``)
    lines.push([
      pipeline.name,
      partitions === null ? (positionText(state) ?? '-') : partitionsText(partitions, isInPieces ? 'pieces' : 'partitions'),
      lagText(lag, log),
      state?.lastRunAt?.slice(0, 19) ?? '-',
      state?.recordsProcessed == null ? '-' : grouped(Number(state.recordsProcessed)),
    ])
  }
  console.answer([...aligned(lines), ...notes])
  console.data({ command: 'status', pipelines: rows })
  return 0
}

function logFacts(slot: string, kept: LogStatus): LogFacts {
  return {
    slot,
    state: kept.state,
    active: kept.active,
    retained_bytes: kept.retainedBytes,
    safe_wal_size: kept.safeBytes,
    lag_bytes: kept.lagBytes,
    lag_seconds: kept.lagSeconds,
    lag_messages: kept.lagMessages,
    partitions: kept.partitions,
    streams: kept.streams.map(({ stream, state, staleAfter, hasData }) => ({ stream, state, stale_after: staleAfter, has_data: hasData })),
    invalidation_reason: kept.invalidation,
  }
}

function lagText(seconds: number | null, log: LogFacts | null): string {
  const bytes = log?.lag_bytes ?? null
  const parts = [seconds === null ? '' : durationText(seconds), bytes === null ? '' : bytesText(bytes)].filter((text) => text !== '')
  return parts.join(', ') || (log?.state ?? '-')
}

/** What the state of a slot means to who has to keep it alive. */
const SLOT_STATES: Readonly<Record<string, string>> = {
  reserved: 'all of its log is there',
  extended: 'all of its log is there, more than max_wal_size',
  unreserved: 'it keeps more than it may: the next checkpoint may give it up',
  lost: 'log that the pipeline needs is gone',
}

function notesOf({ name, source }: CdcPipeline, log: LogFacts, streams: LogStatus['streams']): readonly string[] {
  if (source.streams !== null) return streams.map((one) => `${name}: ${streamText(one)}.`)
  return source.kafka === null ? slotText(name, log) : topicsText(name, log)
}

const STREAM_STATES: Readonly<Record<StreamStatus['state'], string>> = {
  kept: 'is kept',
  ageing: 'is ageing: more than half of the time is over for which its changes are kept',
  stale: 'is stale: changes that nobody has read are lost',
  missing: 'does not exist',
}

function streamText({ stream, state, staleAfter, hasData }: StreamStatus): string {
  const has = hasData === null ? '' : `; it has ${hasData ? 'something' : 'nothing'} that the target has not`
  const until = staleAfter === null || state === 'stale' ? '' : `; stale after ${staleAfter}`
  return `stream ${stream} ${STREAM_STATES[state]}${has}${until}`
}

function slotText(pipeline: string, log: LogFacts): string[] {
  if (log.state === 'missing') return [`${pipeline}: slot ${log.slot} does not exist.`]
  const why = log.invalidation_reason === null ? '' : ` (${log.invalidation_reason})`
  const kept = log.retained_bytes === null ? '' : `; the source keeps ${bytesText(log.retained_bytes)} for it`
  const safe =
    log.safe_wal_size === null ? '' : `, ${bytesText(Math.max(0, log.safe_wal_size))} more may be written before it may be given up`
  return [
    `${pipeline}: slot ${log.slot} is ${log.state}${why}: ${SLOT_STATES[log.state] ?? ''}${kept}${safe}; ${log.active ? 'it is being read' : 'nobody reads it'}.`,
  ]
}

function topicsText(pipeline: string, { lag_messages: behind, partitions, state, invalidation_reason: why }: LogFacts): string[] {
  if (state === 'lost') return [`${pipeline}: messages that the pipeline needs are gone: ${why}.`]
  if (behind === null) return [`${pipeline}: its topics have not been read yet.`]
  const lagging = partitions.filter(({ messages }) => (messages ?? 0) > 0)
  return [
    `${pipeline}: ${count(behind, 'message')} of its topics are not in the target.`,
    ...lagging.map(({ topic, partition, messages, seconds }) => {
      const since = seconds === null ? '' : `, the oldest of them for ${durationText(seconds)}`
      return `${pipeline}: partition ${partition} of ${topic} is ${count(messages ?? 0, 'message')} ahead${since}.`
    }),
  ]
}

/** null where the pipeline names no connector, or not where its Kafka Connect is. */
async function connectorFacts(project: OpenProject, pipeline: Pipeline): Promise<ConnectorFacts | null> {
  const connector = pipeline.pattern === 'cdc' ? (pipeline.source.kafka?.connector?.name ?? null) : null
  if (connector === null) return null
  try {
    const { state, tasks } = await (await project.connector(pipeline.name)).status()
    return { connector, state, tasks: tasks.map(({ id, state, cause }) => ({ id, state, cause })), error: null }
  } catch (thrown) {
    const { code, message } = asLoadError(thrown)
    return code === 'bad-project' ? null : { connector, state: null, tasks: [], error: { code, message } }
  }
}

function connectorText(pipeline: string, { connector, state, tasks, error }: ConnectorFacts): string {
  if (error !== null) return `${pipeline}: connector ${connector} can't be looked at: ${error.message}`
  const each = tasks.map(({ id, state, cause }) => `task ${id} is ${state}${cause === null ? '' : ` (${cause})`}`)
  return `${pipeline}: connector ${connector} is ${state}; ${each.length === 0 ? 'it has no tasks' : each.join(', ')}.`
}

function positionText(state: StateRow | null): string | null {
  return state?.position.kind === 'log' ? placeInLog(state.position) : watermarkOf(state?.position ?? null)
}

function partitionsText({ total, committed, running, failed }: LedgerSummary, what: string): string {
  const rest = [running > 0 ? `${running} running` : '', failed > 0 ? `${failed} failed` : ''].filter((text) => text !== '')
  return [`${grouped(committed)} of ${grouped(total)} ${what}`, ...rest].join(', ')
}

/** Seconds between the watermark and now by this machine's clock: to look at, never to load by. */
function lagSeconds(state: StateRow | null): number | null {
  if (state?.position.kind !== 'watermark' || state.position.time === undefined) return null
  const then = Date.parse(`${state.position.time.replace(' ', 'T')}Z`)
  return Number.isNaN(then) ? null : Math.max(0, Math.round((Date.now() - then) / 1000))
}

export function aligned(lines: readonly (readonly string[])[]): string[] {
  const widths = (lines[0] ?? []).map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  return lines.map((line) =>
    line
      .map((text, column) => text.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}
