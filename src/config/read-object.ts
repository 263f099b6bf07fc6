// A project written as a JavaScript object → plain values. Places are paths, for an object has no lines.

import { type Origin, type Path, pathKey, printPath } from './origin.ts'
import type { Problems } from './problems.ts'
import type { Surroundings } from './reference.ts'
import { acceptKey, isTooDeep, readText } from './scalar.ts'

interface Written {
  readonly text: string
  readonly referenced: boolean
}

interface Reading {
  readonly written: Map<string, Written>
  /** The collections around the value being read. */
  readonly inside: Set<object>
  readonly surroundings: Surroundings
  readonly problems: Problems
}

/** The project's values, references resolved; everything wrong goes to `problems`. */
export function readObject(raw: unknown, file: string, surroundings: Surroundings, problems: Problems): { value: unknown; origin: Origin } {
  const written = new Map<string, Written>()
  const value = readValue(raw, [], { written, inside: new Set(), surroundings, problems })
  const place = (path: Path): string => (path.length === 0 ? file : `${file} ${printPath(path)}`)
  const origin: Origin = {
    file,
    place,
    label: place,
    order: () => 0,
    written: (path) => written.get(pathKey(path))?.text ?? null,
    referenced: (path) => written.get(pathKey(path))?.referenced ?? false,
  }
  return { value, origin }
}

function readValue(raw: unknown, path: Path, reading: Reading): unknown {
  if (isTooDeep(path, reading.problems)) return null
  switch (typeof raw) {
    case 'string': {
      const { value, referenced } = readText(raw, path, reading.surroundings, reading.problems)
      reading.written.set(pathKey(path), { text: raw, referenced })
      return value
    }
    case 'bigint':
    case 'number':
      if (typeof raw === 'number' && !Number.isSafeInteger(raw) && Number.isInteger(raw))
        reading.problems.unusable(path, 'this number is too large to be exact; write it as text')
      reading.written.set(pathKey(path), { text: String(raw), referenced: false })
      return Number(raw)
    case 'object':
      return raw === null ? null : collectionOf(raw, path, reading)
    case 'boolean':
      return raw
    default:
      reading.problems.unusable(path, `a ${typeof raw} has no place in a project`)
      return null
  }
}

function collectionOf(raw: object, path: Path, reading: Reading): unknown {
  if (reading.inside.has(raw)) {
    reading.problems.unusable(path, 'contains itself')
    return null
  }
  reading.inside.add(raw)
  const value = Array.isArray(raw) ? raw.map((item, index) => readValue(item, [...path, index], reading)) : mapOf(raw, path, reading)
  reading.inside.delete(raw)
  return value
}

function mapOf(raw: object, path: Path, reading: Reading): unknown {
  const prototype: unknown = Object.getPrototypeOf(raw)
  // Not compared with Object.prototype: the object may come from another realm.
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) {
    reading.problems.unusable(path, raw instanceof Date ? 'write a date as text' : 'expected a plain object')
    return null
  }
  const result: Record<string, unknown> = Object.create(null)
  for (const [key, value] of Object.entries(raw))
    if (value !== undefined && acceptKey(key, path, reading.problems)) result[key] = readValue(value, [...path, key], reading)
  return result
}
