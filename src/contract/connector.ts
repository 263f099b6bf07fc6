import type { ChangeFeed, ServerAddress } from './change-feed.ts'
import type { Source } from './source.ts'
import type { Target } from './target.ts'

/** What a connector folder exports. Its driver is imported inside `source` and `target`, not before. */
export interface Connector<Config = unknown> {
  readonly name: string
  /** Checks what the user wrote; throws `bad-project` with the field's path in `where`. */
  parse(raw: unknown): Config
  /** `name` is the connection's name in the project file; errors say it. */
  source?(config: Config, name: string, related?: RelatedEnds): Promise<Source>
  target?(config: Config, name: string): Promise<Target>
  /** What fills the topics of a pipeline, by the log of `from`; null where the connection does not say where that is. */
  feed?(config: Config, name: string, from: ServerAddress | null): Promise<ChangeFeed | null>
  /** Where the server is, for a program other than tidemark that is to read it. */
  address?(config: Config): ServerAddress
}

/** Other connections of the project, opened where a pipeline names them. */
export interface RelatedEnds {
  source(name: string): Promise<Source>
  target(name: string): Promise<Target>
}
