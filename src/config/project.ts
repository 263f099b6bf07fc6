import type { OneTablePipeline, PartitionPipeline, Pipeline, WatermarkPipeline } from '../core/pipeline.ts'
import type { Path } from './origin.ts'

/** A connection as the user wrote it, references resolved. */
export interface ConnectionConfig {
  readonly name: string
  readonly type: string
  /**
   * All keys but `type`, for the connector. Durations are seconds, ports and counts are numbers, paths are absolute. They
   * hold secrets: never part of a message.
   */
  readonly options: Readonly<Record<string, unknown>>
  /** Where it is written. */
  readonly at: string
}

/** A pipeline for every table that a wildcard finds. */
export type WildcardPipeline = Templated<WatermarkPipeline> | Templated<PartitionPipeline>

type Templated<P extends OneTablePipeline> = Omit<P, 'source' | 'target'> & {
  readonly wildcard: true
  /** `table` is the table's name with `*` for any letters. */
  readonly source: { readonly connection: string; readonly schema: string; readonly table: string }
  readonly target: { readonly connection: string; readonly schema: string | null }
}

export type ProjectPipeline = Pipeline | WildcardPipeline

/** A checked project: every name leads somewhere, every default is filled in. */
export interface Project {
  /** Absolute path of the project file. */
  readonly file: string
  readonly directory: string
  readonly connections: Readonly<Record<string, ConnectionConfig>>
  readonly pipelines: readonly ProjectPipeline[]
  /** Places where a secret stands in the project file itself. */
  readonly literalSecrets: readonly string[]
  /** Where a field is written, also one that `defaults` gives or that belongs to a pipeline made by a wildcard. */
  place(path: Path): string
}
