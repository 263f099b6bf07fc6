// A project with its connections: everything that the command line does, as a library.

import { randomUUID } from 'node:crypto'
import type { ProjectInput } from '../config/define-project.ts'
import { expandWildcard, isWildcard } from '../config/expand-wildcard.ts'
import { loadProject } from '../config/load-project.ts'
import { nearest } from '../config/nearest.ts'
import type { Project, WildcardPipeline } from '../config/project.ts'
import { requireOwnTargets } from '../config/shared-target.ts'
import { validateProject } from '../config/validate-project.ts'
import { CONNECTORS } from '../connectors/registry.ts'
import type { Finding } from '../contract/finding.ts'
import type { Dropped, LogStatus } from '../contract/log.ts'
import type { LedgerFilter, PartitionTarget } from '../contract/target.ts'
import { LoadError } from '../core/errors.ts'
import type { Emit, PipelineResult } from '../core/event.ts'
import { ORDINARY_RUN, type RunRequest } from '../core/head.ts'
import type { LedgerRow, LedgerSummary } from '../core/ledger.ts'
import {
  type CdcPipeline,
  fingerprint,
  type Pipeline,
  type ResolvedPipeline,
  resolvePipeline,
  selectedTable,
  targetTables,
  type WatermarkPipeline,
} from '../core/pipeline.ts'
import { isFilling, type Position, watermarkOf } from '../core/position.ts'
import type { QuarantinedChange, Replayed } from '../core/quarantine.ts'
import type { HistoryRow, State, StateRow } from '../core/state.ts'
import type { Table, TableName } from '../core/table.ts'
import { logOf } from '../engine/log-of.ts'
import { DEFAULT_SETTINGS, type Settings } from '../engine/machinery.ts'
import { moveState } from '../engine/move-state.ts'
import { partitionsOf } from '../engine/observe-partitions.ts'
import { replayQuarantine } from '../engine/replay-quarantine.ts'
import { runPipeline } from '../engine/run.ts'
import { checkPipeline } from './check-pipeline.ts'
import { Connections, type FindConnector } from './connections.ts'
import { type Conversion, toCdc, toWatermark } from './convert-pipeline.ts'
import { checkFeed, openConnector, type PipelineConnector } from './pipeline-connector.ts'
import { place } from './place.ts'
import { type AnyPlan, planPipeline } from './plan-pipeline.ts'

export interface RunOptions extends Partial<RunRequest> {
  readonly onEvent?: Emit
  readonly signal?: AbortSignal
}

/** What `run` gives, and prints as JSON. */
export interface RunResult {
  readonly command: 'run'
  readonly ok: boolean
  readonly seconds: number
  readonly pipelines: readonly PipelineResult[]
}

export interface OpenProjectOptions {
  readonly settings?: Partial<Settings>
  /** Finds a connector by its type; default: the built-in ones. */
  readonly connector?: FindConnector
  readonly env?: Readonly<Record<string, string | undefined>>
}

/** Opens a project file or a defined project; throws `missing-project`, `bad-project`, `shared-target`. Connects to nothing yet. */
export async function openProject(project: string | ProjectInput | null = null, options: OpenProjectOptions = {}): Promise<OpenProject> {
  const loaded =
    typeof project === 'string' || project === null
      ? await loadProject(project, options.env === undefined ? {} : { env: options.env })
      : validateProject(project, 'project', options.env === undefined ? {} : { env: options.env })
  return new OpenProject(loaded, options)
}

export class OpenProject {
  readonly project: Project
  readonly #connections: Connections
  readonly #settings: Settings

  constructor(project: Project, options: OpenProjectOptions) {
    this.project = project
    this.#connections = new Connections(project, options.connector ?? builtIn)
    this.#settings = { ...DEFAULT_SETTINGS, ...options.settings }
  }

  /** The pipelines of these names, wildcards expanded; none named: all. Throws `unknown-pipeline`. */
  async pipelines(names: readonly string[] = []): Promise<readonly Pipeline[]> {
    const wanted = this.project.pipelines.filter(
      (pipeline) =>
        names.length === 0 ||
        names.some((name) => name === pipeline.name || (isWildcard(pipeline) && name.startsWith(`${pipeline.name}/`))),
    )
    const expanded: Pipeline[] = []
    for (const pipeline of wanted) {
      if (!isWildcard(pipeline)) expanded.push(pipeline)
      else
        expanded.push(
          ...(await this.#expand(pipeline)).filter(
            (one) => names.length === 0 || names.includes(pipeline.name) || names.includes(one.name),
          ),
        )
    }
    for (const name of names) this.#refuseUnknown(name, expanded)
    requireOwnTargets(this.project, expanded)
    return expanded
  }

  async #expand(template: WildcardPipeline): Promise<readonly Pipeline[]> {
    const source = await this.#connections.source(template.source.connection)
    if (source.list === undefined)
      throw new LoadError('bad-project', `Pipeline ${template.name} has a wildcard, but its source can't list tables.`)
    const tables = await source.list()
    return expandWildcard(template, tables)
  }

  #refuseUnknown(name: string, found: readonly Pipeline[]): void {
    if (found.some((pipeline) => pipeline.name === name || pipeline.name.startsWith(`${name}/`))) return
    const known = this.project.pipelines.map((pipeline) => pipeline.name)
    const near = nearest(name, known)
    throw new LoadError('unknown-pipeline', `There is no pipeline "${name}".`, {
      hint: near === null ? `There are: ${known.join(', ')}.` : `Did you mean "${near}"?`,
    })
  }

  /** Brings pipelines up to date, one after the other. A failed one does not keep the others from loading. */
  async run(names: string | readonly string[] = [], options: RunOptions = {}): Promise<RunResult> {
    const began = performance.now()
    const { onEvent = () => {}, signal = new AbortController().signal, ...request } = options
    const results: PipelineResult[] = []
    for (const pipeline of await this.pipelines(listed(names))) {
      results.push(await this.#runOne(pipeline, { ...ORDINARY_RUN, ...request }, onEvent, signal))
      if (signal.aborted) break
    }
    const ok = results.every((result) => result.error === null)
    return { command: 'run', ok, seconds: Math.round(performance.now() - began) / 1000, pipelines: results }
  }

  async #runOne(pipeline: Pipeline, request: RunRequest, emit: Emit, signal: AbortSignal): Promise<PipelineResult> {
    const runId = randomUUID()
    const { source, target } = await this.ends(pipeline)
    const result = await runPipeline(
      pipeline,
      { source, target, signal, emit, runId, reach: crashPointFromEnvironment(), settings: this.#settings },
      request,
    )
    return result.error === null ? result : { ...result, error: place(this.project, pipeline, result.error) }
  }

  /** What a run would do; changes nothing. */
  async plan(name: string, request: Partial<RunRequest> = {}): Promise<AnyPlan> {
    const pipeline = await this.#one(name)
    return planPipeline(pipeline, await this.ends(pipeline), { ...ORDINARY_RUN, ...request }, this.#settings.sliceRows)
  }

  /** The ledger of a pipeline in partitions; null for any other pipeline that has none. */
  async partitions(name: string, filter: LedgerFilter = {}): Promise<readonly LedgerRow[]> {
    return (await this.#ledger(name)).readLedger(name, filter)
  }

  async partitionSummary(name: string): Promise<LedgerSummary> {
    return (await this.#ledger(name)).summarize(name)
  }

  async #ledger(name: string): Promise<PartitionTarget> {
    const pipeline = await this.#one(name)
    if (pipeline.pattern === 'cdc' || (pipeline.pattern === 'watermark' && pipeline.firstLoad === null))
      throw new LoadError('bad-usage', `Pipeline ${name} has no partitions: its pattern is ${pipeline.pattern}.`)
    return partitionsOf(await this.#connections.target(pipeline.target.connection), name)
  }

  async ends(pipeline: Pipeline) {
    const [source, target] = await Promise.all([
      this.#connections.source(pipeline.source.connection),
      this.#connections.target(pipeline.target.connection),
    ])
    return { source, target }
  }

  async #withWatermark(name: string): Promise<WatermarkPipeline> {
    const pipeline = await this.#one(name)
    if (pipeline.pattern === 'watermark') return pipeline
    throw new LoadError('bad-usage', `Pipeline ${name} has no watermark: its pattern is ${pipeline.pattern}.`, {
      hint: `See \`tidemark partitions list ${name}\`; \`tidemark partitions reload\` loads chosen ones again.`,
    })
  }

  async #one(name: string): Promise<Pipeline> {
    const [pipeline] = await this.pipelines([name])
    if (pipeline === undefined) throw new LoadError('unknown-pipeline', `There is no pipeline "${name}".`)
    return pipeline
  }

  /** Exact text as the source printed it; null before the first load. */
  async getWatermark(name: string): Promise<string | null> {
    return watermarkOf((await this.state(name))?.position ?? null)
  }

  async state(name: string): Promise<StateRow | null> {
    const pipeline = await this.#one(name)
    return (await this.#connections.target(pipeline.target.connection)).readState(pipeline.name)
  }

  /** Newest first. */
  async history(name: string, limit = 100): Promise<readonly HistoryRow[]> {
    const pipeline = await this.#one(name)
    return (await this.#connections.target(pipeline.target.connection)).readHistory(pipeline.name, limit)
  }

  /** What moving the watermark would mean; a `rewind` that goes forward is refused. Throws `bad-value`, `bad-usage`. */
  async previewWatermark(
    name: string,
    value: string,
    cause: 'set' | 'rewind' = 'set',
  ): Promise<{ position: Position; ahead: boolean; rows: number | null }> {
    const pipeline = await this.#withWatermark(name)
    const { source } = await this.ends(pipeline)
    const { resolved, table } = await this.#described(pipeline)
    const position = await source.positionAt(resolved, table, value)
    const state = await this.state(name)
    const request = { ...ORDINARY_RUN, from: watermarkOf(position), to: watermarkOf(state?.position ?? null) }
    const between = await source.head(resolved, table, state, request)
    const ahead = await source.isAfter(resolved, table, position, state?.position ?? null)
    if (cause === 'rewind') refuseForward(name, value, state, ahead)
    return { position, ahead, rows: between.slice?.estimatedRows ?? null }
  }

  /** Moves the watermark by hand; what was there is in the history. Throws `bad-value`, and `bad-usage` for a `rewind` that goes forward. */
  async setWatermark(name: string, value: string, cause: 'set' | 'rewind' = 'set'): Promise<{ from: State | null; to: State }> {
    const pipeline = await this.#withWatermark(name)
    const { source, target } = await this.ends(pipeline)
    const { resolved, table, selected } = await this.#described(pipeline)
    const [from, targetTable] = [await target.readState(pipeline.name), await target.describe(pipeline.target.table)]
    if (targetTable === null)
      throw new LoadError(
        'bad-usage',
        `Pipeline ${pipeline.name} has loaded nothing yet: a watermark would promise rows that are not there.`,
        {
          hint: 'To begin at a value, write it as `start:` in the project file.',
        },
      )
    if (from?.position.kind === 'snapshot')
      throw new LoadError(
        'bad-usage',
        `The first load of pipeline ${pipeline.name} in pieces is not over: its watermark comes with the last one.`,
        {
          hint: `Run \`tidemark run ${pipeline.name}\` to finish it.`,
        },
      )
    const position = await source.positionAt(resolved, table, value)
    if (cause === 'rewind') refuseForward(name, value, from, await source.isAfter(resolved, table, position, from?.position ?? null))
    const to: State = {
      pipeline: pipeline.name,
      position: isFilling(from?.position ?? null) && position.kind === 'watermark' ? { ...position, filling: true } : position,
      epoch: (from?.epoch ?? 0n) + 1n,
      fingerprint: fingerprint(resolved, selected),
      unswept: 0,
    }
    await moveState(target, from, to, { runId: randomUUID(), cause, table: targetTable })
    return { from, to }
  }

  async #described(pipeline: WatermarkPipeline): Promise<{ resolved: ResolvedPipeline; table: Table; selected: Table }> {
    const source = await this.#connections.source(pipeline.source.connection)
    const table = await source.describe(pipeline)
    const resolved = resolvePipeline(pipeline, table)
    return { resolved, table, selected: selectedTable(resolved, table) }
  }

  /** What to know or mend before a run; an error of the check itself is a finding too. */
  async check(name: string): Promise<readonly Finding[]> {
    const pipeline = await this.#one(name)
    return checkPipeline(
      pipeline,
      () => this.ends(pipeline),
      () => this.plan(name),
      () => checkFeed(pipeline, this.#connections),
      (error) => place(this.project, pipeline, error),
    )
  }

  /** What the pipeline keeps at its source; null where it keeps nothing there. */
  async logStatus(name: string): Promise<LogStatus | null> {
    const pipeline = await this.#one(name)
    if (pipeline.pattern !== 'cdc') return null
    const ends = await this.ends(pipeline)
    return logOf(ends, pipeline).log.status(pipeline, await ends.target.readState(name))
  }

  /** The connector that fills the topics of a pipeline. Throws `bad-usage` where the pipeline reads none, or names no connector. */
  async connector(name: string): Promise<PipelineConnector> {
    const pipeline = await this.#one(name)
    const { kafka } = pipeline.pattern === 'cdc' ? pipeline.source : { kafka: null }
    if (pipeline.pattern !== 'cdc' || kafka === null)
      throw new LoadError('bad-usage', `Pipeline ${name} reads no topics: it has no connector.`)
    return openConnector(pipeline, this.#connections)
  }

  /** Changes that the target refused, in the order of their commits at the source. */
  async quarantined(name: string): Promise<readonly QuarantinedChange[]> {
    const pipeline = await this.#withLog(name)
    return logOf(await this.ends(pipeline), pipeline).changes.quarantined(name)
  }

  /** Tries kept changes again; `ids` null: all of them. Those that are refused again stay. Throws `bad-usage` for an unknown one. */
  async replayQuarantine(name: string, ids: readonly string[] | null = null): Promise<Replayed> {
    const pipeline = await this.#withLog(name)
    const machinery = { ...(await this.ends(pipeline)), runId: randomUUID(), reach: crashPointFromEnvironment() }
    return replayQuarantine(pipeline, machinery, ids)
  }

  /** Forgets kept changes; their rows stay as the target has them. */
  async discardQuarantine(name: string, ids: readonly string[]): Promise<number> {
    const pipeline = await this.#withLog(name)
    return logOf(await this.ends(pipeline), pipeline).changes.discard(name, ids)
  }

  async #withLog(name: string): Promise<CdcPipeline> {
    const pipeline = await this.#one(name)
    if (pipeline.pattern === 'cdc') return pipeline
    throw new LoadError('bad-usage', `Pipeline ${name} has no quarantine: its pattern is ${pipeline.pattern}.`)
  }

  /** Removes what the pipeline made at the source, and its state at the target; its tables stay. */
  async drop(name: string): Promise<Dropped> {
    const pipeline = await this.#one(name)
    const ends = await this.ends(pipeline)
    const { removed, left } = pipeline.pattern === 'cdc' ? await logOf(ends, pipeline).log.drop(pipeline) : { removed: [], left: [] }
    return { removed: (await ends.target.forget(pipeline.name)) ? [...removed, `state of ${name}`] : removed, left }
  }

  /** What a pipeline becomes under another pattern; changes nothing. Throws `bad-usage` where it can't. */
  async previewConversion(name: string, to: 'cdc' | 'watermark', cursor: string | null): Promise<Conversion> {
    const pipeline = await this.#one(name)
    return to === 'cdc' ? toCdc(pipeline, await this.ends(pipeline)) : toWatermark(pipeline, cursor)
  }

  /**
   * Hands a pipeline over: every row is compared once, and only what differs is written. The project file is not changed: from now on it
   * must say what `previewConversion` gives, and the old definition is refused.
   */
  async convert(
    name: string,
    to: 'cdc' | 'watermark',
    {
      cursor,
      onEvent = () => {},
      signal = new AbortController().signal,
    }: Pick<RunOptions, 'onEvent' | 'signal'> & { readonly cursor: string | null },
  ): Promise<{ readonly results: readonly PipelineResult[] }> {
    const { pipelines } = await this.previewConversion(name, to, cursor)
    const taken = pipelines.find((one) => one.name !== name && this.project.pipelines.some((other) => other.name === one.name))
    if (taken !== undefined) throw new LoadError('bad-usage', `Pipeline ${name} would become ${taken.name}, and there is one of that name.`)
    const before = await this.state(name)
    const results: PipelineResult[] = []
    for (const pipeline of pipelines) {
      const result = await this.#runOne(pipeline, { ...ORDINARY_RUN, fullRefresh: to === 'watermark' }, onEvent, signal)
      results.push(result)
      if (result.error === null) continue
      if (pipeline.pattern === 'cdc') await this.#giveBack(pipeline, before)
      return { results }
    }
    if (to === 'watermark') await this.#leaveLog(name, pipelines)
    return { results }
  }

  /** The old pipeline can go on where the hand-over has not got so far that the log took it over. */
  async #giveBack(pipeline: CdcPipeline, before: State | null): Promise<void> {
    const ends = await this.ends(pipeline)
    const now = await ends.target.readState(pipeline.name)
    if (before === null || now?.position.kind !== 'snapshot' || before.position.kind === 'snapshot') return
    await logOf(ends, pipeline).log.drop(pipeline)
    const { position, fingerprint: definition, unswept } = before
    const table = await ends.target.describe(targetTables(pipeline)[0] as TableName)
    if (table === null) return
    const to: State = { pipeline: pipeline.name, position, epoch: now.epoch + 1n, fingerprint: definition, unswept }
    await moveState(ends.target, now, to, { runId: randomUUID(), cause: 'set', table })
  }

  /** What followed the log is gone at the source, and at the target unless it goes on under its name. */
  async #leaveLog(name: string, successors: readonly Pipeline[]): Promise<void> {
    const pipeline = await this.#one(name)
    if (pipeline.pattern !== 'cdc') return
    const ends = await this.ends(pipeline)
    await logOf(ends, pipeline).log.drop(pipeline)
    if (successors.every((one) => one.name !== name)) await ends.target.forget(name)
  }

  async close(): Promise<void> {
    await this.#connections.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

function refuseForward(name: string, value: string, state: State | null, ahead: boolean): void {
  if (state === null) throw new LoadError('bad-usage', `Pipeline ${name} has no watermark to rewind.`)
  if (ahead)
    throw new LoadError('bad-usage', `${value} lies after the watermark of ${name}; a rewind only goes back.`, {
      hint: 'Use `tidemark watermark set`, and know that what lies between is skipped.',
    })
}

async function builtIn(type: string) {
  const load = CONNECTORS[type]
  if (load === undefined) throw new LoadError('bad-project', `There is no connection type "${type}".`)
  return load()
}

function listed(names: string | readonly string[]): readonly string[] {
  return typeof names === 'string' ? [names] : names
}

/** Tests kill the process at a named point: `TIDEMARK_CRASH_AT=before-commit`, or `chunk-staged:3` for the third time. */
function crashPointFromEnvironment(): (point: string) => void {
  const wanted = process.env['TIDEMARK_CRASH_AT']
  if (wanted === undefined) return () => {}
  const [name, times = '1'] = wanted.split(':')
  let left = Number(times)
  return (point) => {
    if (point === name && --left === 0) process.kill(process.pid, 'SIGKILL')
  }
}
