// Values of a row as JSON, and back. Every value is a text as the source prints it; bytes that are no UTF-8 are told apart and kept too.

import { ABSENT, type ChangesChunk, NULL, UNCHANGED } from '../core/changes-chunk.ts'

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const encoder = new TextEncoder()

/** `undefined`: not sent again, or not known. */
export type KeptValue = string | { readonly hex: string } | null | undefined

export function cellValue(chunk: ChangesChunk, cell: number): KeptValue {
  const length = chunk.length[cell] as number
  if (length === NULL) return null
  if (length === UNCHANGED || length === ABSENT) return undefined
  const from = chunk.start[cell] as number
  const bytes = chunk.bytes.subarray(from, from + length)
  try {
    return decoder.decode(bytes)
  } catch {
    return { hex: Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('') }
  }
}

/** Only ASCII: a database of any encoding can hold it. */
export function valuesJson(names: readonly string[], values: readonly KeptValue[]): string {
  const pairs = names.flatMap((name, place) => {
    const value = values[place]
    return value === undefined ? [] : [`${JSON.stringify(name)}:${JSON.stringify(value)}`]
  })
  return `{${pairs.join(',')}}`.replaceAll(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** A row of these values at the end of the chunk; returns its first cell. What is missing gets the mark `missing`. */
export function addKeptRow(
  chunk: ChangesChunk,
  names: readonly string[],
  payload: string,
  missing: typeof UNCHANGED | typeof ABSENT,
): number {
  const values = new Map(Object.entries(JSON.parse(payload) as Record<string, KeptValue>))
  const row = chunk.addRow(names.length)
  for (const [place, name] of names.entries()) {
    const value = values.get(name)
    if (value === undefined) chunk.mark(row + place, missing)
    else if (value === null) chunk.mark(row + place, NULL)
    else {
      const bytes =
        typeof value === 'string'
          ? encoder.encode(value)
          : Uint8Array.from(value.hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
      chunk.setCell(row + place, bytes, 0, bytes.length)
    }
  }
  return row
}
