// A source, a target and a project between them: what almost every test here needs, in one block.

import { join } from 'node:path'
import type { PipelineResult } from '../../src/core/event.ts'
import type { StateRow } from '../../src/core/state.ts'
import type { WriteStrategyName } from '../../src/core/write-strategy.ts'
import { type OpenProject, type OpenProjectOptions, openProject, type RunOptions } from '../../src/project/open-project.ts'
import { type Comparison, type Difference, differences, type Side } from './compare-tables.ts'
import { type FreshDatabase, freshDatabase } from './fresh-database.ts'
import { ORDER_COLUMNS } from './orders-table.ts'
import { type ProjectFolder, projectFolder } from './project-folder.ts'
import { type CliResult, type Environment, type RunningCli, runCli, startCli } from './run-cli.ts'

export type TargetKind = 'postgres' | 'duckdb'
export const TARGET_KINDS: readonly TargetKind[] = ['postgres', 'duckdb']

/** The ways to write of a pipeline with a watermark. */
export const WATERMARK_WRITES: readonly WriteStrategyName[] = ['append', 'merge', 'delete-insert', 'replace']

type Options = Readonly<Record<string, unknown>>

export interface LoadingOptions {
  readonly target?: TargetKind
  /** Each gets `pattern: watermark`, both ends and, with that pattern, the cursor `updated_at` unless it says otherwise. Default: one of name `orders`. */
  readonly pipelines?: Readonly<Record<string, Options>>
  /** Superusers' urls of other servers than the shared one. */
  readonly sourceServer?: string
  readonly targetServer?: string
  /** Instead of the databases' own, such as a fault proxy's. */
  readonly sourceUrl?: (url: string) => string
  readonly targetUrl?: (url: string) => string
}

export interface Loading extends AsyncDisposable {
  readonly source: FreshDatabase
  /** The Postgres target; throws where the target is a file. */
  readonly target: FreshDatabase
  /** Either kind of target, for comparisons. */
  readonly side: Side
  readonly folder: ProjectFolder
  readonly env: Environment
  /** `-o json` is added. */
  cli(args: readonly string[], env?: Environment): Promise<CliResult>
  start(args: readonly string[], env?: Environment): RunningCli
  open(options?: OpenProjectOptions): Promise<OpenProject>
  /** The first pipeline run in this process: as a library does it, without the cost of a child. */
  run(options?: RunOptions, settings?: OpenProjectOptions['settings']): Promise<PipelineResult>
  /** What is stored of the first pipeline. */
  state(): Promise<StateRow | null>
  /** Rewrites the project file; `connections` come on top of `shop` and `warehouse`, or replace them. */
  pipelines(pipelines: Readonly<Record<string, Options>>, connections?: Readonly<Record<string, Options>>): void
  compare(table?: string, how?: Comparison): Promise<Difference>
}

export async function startLoading(options: LoadingOptions = {}): Promise<Loading> {
  const kind = options.target ?? 'postgres'
  const source = await freshDatabase(options.sourceServer)
  const target = kind === 'postgres' ? await freshDatabase(options.targetServer) : null
  const folder = projectFolder({ connections: {}, pipelines: {} })
  const env: Environment = {
    SHOP_URL: (options.sourceUrl ?? same)(source.url),
    ...(target === null ? {} : { WAREHOUSE_URL: (options.targetUrl ?? same)(target.url) }),
  }
  const warehouse = target === null ? { type: 'duckdb', path: 'warehouse.duckdb' } : { type: 'postgres', url: '${env:WAREHOUSE_URL}' }
  const pipelines = (given: Readonly<Record<string, Options>>, connections: Readonly<Record<string, Options>> = {}): void =>
    folder.write({
      connections: { shop: { type: 'postgres', url: '${env:SHOP_URL}' }, warehouse, ...connections },
      pipelines: Object.fromEntries(Object.entries(given).map(([name, own]) => [name, completed(own)])),
    })
  pipelines(options.pipelines ?? { orders: {} })
  const open = (more: OpenProjectOptions = {}): Promise<OpenProject> =>
    openProject(folder.file, { env: { ...process.env, ...env }, ...more })
  const side = target ?? join(folder.path, 'warehouse.duckdb')
  return {
    source,
    get target() {
      if (target === null) throw new Error('The target is a file.')
      return target
    },
    side,
    folder,
    env,
    cli: (args, more = {}) => runCli(folder.path, ['-o', 'json', ...args], { ...env, ...more }),
    start: (args, more = {}) => startCli(folder.path, ['-o', 'json', ...args], { ...env, ...more }),
    open,
    async run(more = {}, settings = {}) {
      await using project = await open({ settings })
      const [pipeline] = await project.pipelines()
      const { pipelines: results } = await project.run(pipeline?.name ?? '', more)
      return results[0] as PipelineResult
    },
    async state() {
      await using project = await open()
      const [pipeline] = await project.pipelines()
      return await project.state(pipeline?.name ?? '')
    },
    pipelines,
    compare: (table = 'orders', how = { columns: ORDER_COLUMNS }) => differences(source, side, table, how),
    async [Symbol.asyncDispose]() {
      folder[Symbol.dispose]()
      await Promise.all([source.drop(), target?.drop()])
    },
  }
}

const same = (url: string): string => url

function completed(own: Options): Options {
  const source = (own['source'] ?? {}) as Options
  const target = (own['target'] ?? {}) as Options
  if (own['pattern'] === 'cdc') return { ...own, source: { connection: 'shop', ...source }, target: { connection: 'warehouse', ...target } }
  return {
    ...((own['pattern'] ?? 'watermark') === 'watermark' ? { pattern: 'watermark', cursor: 'updated_at' } : {}),
    ...own,
    source: { connection: 'shop', ...('query' in source ? {} : { table: 'orders' }), ...source },
    target: { connection: 'warehouse', ...('query' in source ? { table: 'orders' } : {}), ...target },
  }
}
