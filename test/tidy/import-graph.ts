// Which file imports which. Type imports count: a type-only knot is a knot.

import { existsSync } from 'node:fs'
import { join, posix } from 'node:path'
import { ROOT, type SourceFile } from './source-files.ts'

export interface Import {
  readonly from: string
  /** A path from the root for our own files, else the package or `node:` module as written. */
  readonly to: string
  readonly own: boolean
}

export function importsOf(file: SourceFile): Import[] {
  const found: Import[] = []
  for (const [, quoted] of file.uncommented.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*(?:'([^'\n]+)'|"[^"\n]+")/g)) {
    if (quoted === undefined) continue
    const own = quoted.startsWith('.')
    found.push({ from: file.path, own, to: own ? posix.join(posix.dirname(file.path), quoted) : quoted })
  }
  return found
}

/** One shortest way round per knot found, as `a → b → a`. */
export function findCycles(imports: readonly Import[]): string[] {
  const edges = new Map<string, string[]>()
  for (const { from, to, own } of imports) if (own) edges.set(from, [...(edges.get(from) ?? []), to])
  const cycles = new Set<string>()
  for (const start of edges.keys()) {
    const way = wayBack(start, edges)
    if (way && start === [...way].sort()[0]) cycles.add([...way, start].join(' → '))
  }
  return [...cycles]
}

function wayBack(start: string, edges: ReadonlyMap<string, readonly string[]>): string[] | null {
  const cameFrom = new Map<string, string>()
  const queue = [start]
  for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
    for (const next of edges.get(file) ?? []) {
      if (next === start) {
        const way = [file]
        for (let at = file; at !== start; at = way[0] ?? start) way.unshift(cameFrom.get(at) ?? start)
        return way
      }
      if (!cameFrom.has(next)) {
        cameFrom.set(next, file)
        queue.push(next)
      }
    }
  }
  return null
}

export function reachableFrom(entries: readonly string[], imports: readonly Import[]): Set<string> {
  const reached = new Set<string>(entries.filter((entry) => existsSync(join(ROOT, entry))))
  for (const file of reached) for (const { from, to, own } of imports) if (own && from === file) reached.add(to)
  return reached
}
