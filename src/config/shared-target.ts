// Two pipelines that write one table would each take the other's rows for its own.

import { LoadError } from '../core/errors.ts'
import { type Pipeline, targetTables } from '../core/pipeline.ts'
import type { TableName } from '../core/table.ts'
import type { ConnectionConfig, Project } from './project.ts'

type Connections = Readonly<Record<string, Pick<ConnectionConfig, 'type'>>>

const DEFAULT_SCHEMA: Readonly<Record<string, string>> = { postgres: 'public', duckdb: 'main', snowflake: 'public' }
/** Where ORDERS and orders are one table. */
const CASELESS = ['duckdb', 'snowflake']

/** Equal for equal tables of one connection, as far as names can tell. */
export function tableIdentity(connection: string, table: TableName, connections: Connections): string {
  const type = Object.hasOwn(connections, connection) ? (connections[connection]?.type ?? '') : ''
  const schema = table.schema ?? DEFAULT_SCHEMA[type] ?? ''
  const parts = [schema, table.name].map((part) => (CASELESS.includes(type) ? part.toLowerCase() : part))
  return JSON.stringify([connection, ...parts])
}

/** Calls back with each pipeline whose target an earlier one has. */
export function eachSharedTarget(
  pipelines: readonly Pipeline[],
  connections: Connections,
  found: (later: Pipeline, earlier: Pipeline) => void,
): void {
  const owners = new Map<string, Pipeline>()
  for (const pipeline of pipelines) {
    for (const table of targetTables(pipeline)) {
      const identity = tableIdentity(pipeline.target.connection, table, connections)
      const earlier = owners.get(identity)
      if (earlier === undefined) owners.set(identity, pipeline)
      else found(pipeline, earlier)
    }
  }
}

/** For pipelines after wildcards are expanded; throws `shared-target` when two have one target table, or one name. */
export function requireOwnTargets(project: Project, pipelines: readonly Pipeline[]): void {
  const lines: string[] = []
  const sharing = (later: Pipeline, earlier: Pipeline, what: string): void => {
    const [a, b] = [later, earlier].map((each) => `${each.name} (${project.place(['pipelines', each.name])})`)
    lines.push(`pipelines ${b} and ${a} ${what}`)
  }
  eachSharedTarget(pipelines, project.connections, (later, earlier) => sharing(later, earlier, 'write the same table'))
  const named = new Map<string, Pipeline>()
  for (const pipeline of pipelines) {
    const earlier = named.get(pipeline.name)
    if (earlier === undefined) named.set(pipeline.name, pipeline)
    else sharing(pipeline, earlier, 'have the same name')
  }
  if (lines.length > 0) throw new LoadError('shared-target', lines.join('\n'))
}
