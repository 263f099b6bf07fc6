import type { Connector } from '../../contract/connector.ts'
import { LoadError } from '../../core/errors.ts'
import type { DuckdbConfig } from './target.ts'

/** A DuckDB database file, as target. */
export const duckdb: Connector<DuckdbConfig> = {
  name: 'duckdb',
  parse(raw) {
    const options = (typeof raw === 'object' && raw !== null ? raw : {}) as Record<string, unknown>
    const text = (field: string): string | null => {
      const value = options[field]
      if (value === undefined || value === null) return null
      if (typeof value !== 'string' || value === '') throw new LoadError('bad-project', `${field} must be a text.`, { where: field })
      return value
    }
    const path = text('path')
    if (path === null) throw new LoadError('bad-project', 'A DuckDB connection needs the path of its file.', { where: 'path' })
    if (path.includes('\0')) throw new LoadError('bad-project', 'path has a NUL character in it.', { where: 'path' })
    const memoryLimit = text('memory_limit')
    const threads = options['threads']
    if (threads !== undefined && !(Number.isInteger(threads) && (threads as number) > 0))
      throw new LoadError('bad-project', 'threads must be a whole number above 0.', { where: 'threads' })
    return {
      path,
      stateSchema: text('state_schema'),
      ...(memoryLimit === null ? {} : { memoryLimit }),
      ...(threads === undefined ? {} : { threads: threads as number }),
    }
  },
  async target(config) {
    const { duckdbTarget } = await import('./target.ts')
    return duckdbTarget(config)
  },
}
