// YAML text → plain values and their places. Nothing in the text can name a type, reach a prototype or grow without
// bound: tags are refused, aliases are followed only so far, and every key is looked at.

import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, type Pair, parseDocument, type Scalar } from 'yaml'
import { type Origin, type Path, pathKey, printPath, quoted } from './origin.ts'
import type { Problems } from './problems.ts'
import type { Surroundings } from './reference.ts'
import { acceptKey, isTooDeep, readText } from './scalar.ts'
import { explainSyntax } from './yaml-syntax.ts'

const MOST_ALIASED_NODES = 10_000

interface Spot {
  readonly key: number
  readonly value: number
  readonly written: string | null
  referenced: boolean
}

interface Reading {
  /** Filled in the order of the text, so that an alias finds the last anchor before it. */
  readonly anchors: Map<string, Node>
  readonly spots: Map<string, Spot>
  readonly surroundings: Surroundings
  readonly problems: Problems
  aliasDepth: number
  aliasedNodes: number
}

/** The project's values, references resolved; everything wrong goes to `problems`. */
export function readYaml(text: string, file: string, surroundings: Surroundings, problems: Problems): { value: unknown; origin: Origin } {
  const lines = new LineCounter()
  const document = parseDocument(text, {
    lineCounter: lines,
    version: '1.2',
    schema: 'core',
    merge: false,
    // An own check names the key, and does not take quadratic time.
    uniqueKeys: false,
    // Their snippets of the text could show a password.
    prettyErrors: false,
    logLevel: 'error',
  })
  const spots = new Map<string, Spot>()
  const origin = yamlOrigin(file, lines, spots)
  if (document.errors.length > 0) {
    const seen = document.errors.slice(0, 10)
    for (const [index, error] of seen.entries()) {
      const path = [`\u0000syntax ${index}`]
      spots.set(pathKey(path), { key: error.pos[0], value: error.pos[0], written: null, referenced: false })
      problems.add(path, explainSyntax(error.code, error.message))
    }
    return { value: null, origin }
  }
  const reading: Reading = { anchors: new Map(), spots, surroundings, problems, aliasDepth: 0, aliasedNodes: 0 }
  return { value: readNode(document.contents, [], 0, reading), origin }
}

function readNode(node: Node | null, path: Path, keyOffset: number, reading: Reading): unknown {
  if (isTooDeep(path, reading.problems)) return null
  if (reading.aliasDepth > 0 && ++reading.aliasedNodes > MOST_ALIASED_NODES) {
    if (reading.aliasedNodes === MOST_ALIASED_NODES + 1) reading.problems.unusable([], 'its aliases expand to too much')
    return null
  }
  const offset = node?.range?.[0] ?? keyOffset
  const written = isScalar(node) ? writtenText(node) : null
  const block = (isMap(node) || isSeq(node)) && node.flow !== true
  const empty = isScalar(node) && node.value === null && node.source === ''
  const spot: Spot = { key: keyOffset, value: block || empty ? keyOffset : offset, written, referenced: false }
  reading.spots.set(pathKey(path), spot)
  if (node?.tag !== undefined) {
    reading.problems.unusable(path, 'tags (!…) are not used in project files; remove it')
    return null
  }
  if (node !== null && 'anchor' in node && node.anchor !== undefined && reading.aliasDepth === 0) reading.anchors.set(node.anchor, node)
  if (isAlias(node)) {
    const target = reading.anchors.get(node.source)
    if (target === undefined) {
      reading.problems.unusable(path, `alias *${node.source} has no anchor &${node.source} before it`)
      return null
    }
    reading.aliasDepth++
    const value = readNode(target, path, keyOffset, reading)
    reading.aliasDepth--
    return value
  }
  if (isMap(node)) return mapOf(node.items as Pair<unknown, Node | null>[], path, reading)
  if (isSeq(node)) {
    return node.items.map((item, index) => {
      const child = item as Node
      return readNode(child, [...path, index], child.range?.[0] ?? offset, reading)
    })
  }
  if (!isScalar(node)) return null
  if (typeof node.value !== 'string') return node.value
  const { value, referenced } = readText(node.value, path, reading.surroundings, reading.problems)
  spot.referenced = referenced
  return value
}

function mapOf(pairs: readonly Pair<unknown, Node | null>[], path: Path, reading: Reading): Record<string, unknown> {
  const result: Record<string, unknown> = Object.create(null)
  for (const { key, value } of pairs) {
    if (!isScalar(key) || key.tag !== undefined) {
      reading.problems.add(path, 'holds a key that is not plain text', 'key')
      continue
    }
    const name = writtenText(key)
    const child = [...path, name]
    const offset = key.range?.[0] ?? 0
    if (Object.hasOwn(result, name)) {
      const duplicate = [...path, `\u0000again ${offset}`]
      reading.spots.set(pathKey(duplicate), { key: offset, value: offset, written: null, referenced: false })
      reading.problems.add(duplicate, `key ${quoted(name)} stands here twice; keep one`, 'key')
      continue
    }
    reading.spots.set(pathKey(child), { key: offset, value: offset, written: null, referenced: false })
    if (acceptKey(name, path, reading.problems)) result[name] = readNode(value, child, offset, reading)
  }
  return result
}

function writtenText(scalar: Scalar): string {
  return typeof scalar.value === 'string' ? scalar.value : (scalar.source ?? String(scalar.value))
}

function yamlOrigin(file: string, lines: LineCounter, spots: ReadonlyMap<string, Spot>): Origin {
  const offsetOf = (path: Path, of: 'key' | 'value'): number => {
    const exact = spots.get(pathKey(path))
    if (exact !== undefined) return exact[of]
    for (let depth = path.length - 1; depth >= 0; depth--) {
      const parent = spots.get(pathKey(path.slice(0, depth)))
      if (parent !== undefined) return parent.key
    }
    return 0
  }
  const place = (path: Path, of: 'key' | 'value'): string => {
    const { line, col } = lines.linePos(offsetOf(path, of))
    return `${file}:${Math.max(line, 1)}:${Math.max(col, 1)}`
  }
  return {
    file,
    place,
    label: (path, of) => {
      const named = printPath(path.filter((part) => typeof part === 'number' || !part.startsWith('\u0000')))
      return named === '' ? place(path, of) : `${place(path, of)} ${named}`
    },
    order: offsetOf,
    written: (path) => spots.get(pathKey(path))?.written ?? null,
    referenced: (path) => spots.get(pathKey(path))?.referenced ?? false,
  }
}
