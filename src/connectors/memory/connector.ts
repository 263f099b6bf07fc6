import type { Connector } from '../../contract/connector.ts'
import { LoadError } from '../../core/errors.ts'
import { MemoryDatabase } from './database.ts'
import { MemorySource } from './source.ts'
import { MemoryTarget } from './target.ts'

export interface MemoryConfig {
  /** Connections of one name share their tables; null: the connection's own name. */
  readonly name: string | null
}

const databases = new Map<string, MemoryDatabase>()
const targets = new Map<string, MemoryTarget>()

/** The database behind connections of this name, for those who fill it. */
export function memoryDatabase(name: string): MemoryDatabase {
  return shared(databases, name, () => new MemoryDatabase())
}

/** Tables in the memory of this process. What a target holds and what a source reads are apart, as on two servers. */
export const memory: Connector<MemoryConfig> = {
  name: 'memory',
  parse(raw) {
    const name = typeof raw === 'object' && raw !== null && 'name' in raw ? raw.name : undefined
    if (name !== undefined && name !== null && typeof name !== 'string')
      throw new LoadError('bad-project', 'name must be a text.', { where: 'name' })
    return { name: name ?? null }
  },
  async source(config, name) {
    return new MemorySource(memoryDatabase(config.name ?? name))
  },
  async target(config, name) {
    return shared(targets, config.name ?? name, () => new MemoryTarget())
  },
}

function shared<T>(kept: Map<string, T>, name: string, make: () => T): T {
  const there = kept.get(name) ?? make()
  kept.set(name, there)
  return there
}
