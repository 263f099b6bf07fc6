import type { Pipeline } from '../core/pipeline.ts'
import type { TableName } from '../core/table.ts'
import type { ProjectPipeline, WildcardPipeline } from './project.ts'

const LONGEST_NAME = 100

/** Whether the pipeline stands for one pipeline per table. */
export function isWildcard(pipeline: ProjectPipeline): pipeline is WildcardPipeline {
  return 'wildcard' in pipeline
}

/**
 * One pipeline per matching table, in the order given. A table's pipeline has the same name whatever other tables there
 * are.
 */
export function expandWildcard(template: WildcardPipeline, tableNames: readonly TableName[]): Pipeline[] {
  const { wildcard: _, ...shared } = template
  const matches = matcher(template.source.table)
  return tableNames
    .filter((table) => table.schema === template.source.schema && matches(table.name))
    .map((table) => ({
      ...shared,
      name: pipelineName(template.name, table.name),
      source: { connection: template.source.connection, table, query: null },
      target: { connection: template.target.connection, table: { schema: template.target.schema, name: table.name } },
    }))
}

// Piece by piece, each as early as possible: a regular expression could take exponential time.
function matcher(pattern: string): (name: string) => boolean {
  const [first = '', ...others] = pattern.split('*')
  const last = others.pop() ?? ''
  return (name) => {
    if (!name.startsWith(first)) return false
    let at = first.length
    for (const piece of others) {
      const found = name.indexOf(piece, at)
      if (found < 0) return false
      at = found + piece.length
    }
    return name.length - at >= last.length && name.endsWith(last)
  }
}

// A table's name may hold what a pipeline's may not; a hash of the whole name keeps two such tables apart.
function pipelineName(template: string, table: string): string {
  const plain = `${template}/${table}`
  const safe = plain.replaceAll(/[^A-Za-z0-9_\-./]/gu, '_')
  if (safe === plain && plain.length <= LONGEST_NAME) return plain
  const tail = `-${hash(plain)}`
  return `${safe.slice(0, LONGEST_NAME - tail.length)}${tail}`
}

// FNV-1a, 64 bits: stable for ever, for positions are stored under these names.
function hash(text: string): string {
  let value = 0xcbf29ce484222325n
  for (const byte of new TextEncoder().encode(text)) value = BigInt.asUintN(64, (value ^ BigInt(byte)) * 0x100000001b3n)
  return value.toString(16).padStart(16, '0')
}
