// Schemas that Kafka Connect's JsonConverter writes beside values. They are read as JavaScript objects, since they hold no values of rows,
// and a message's schema is nearly always the one of the message before: it is compared, and read only where it differs.

import type { JsonReader } from './debezium-json.ts'
import { badMessage } from './debezium-refusal.ts'
import { utf8Text } from './debezium-text.ts'

export interface ConnectSchema {
  readonly type: string
  readonly name: string | null
  readonly parameters: Readonly<Record<string, unknown>>
  readonly items: ConnectSchema | null
  /** Of a struct. */
  readonly fields: ReadonlyMap<string, ConnectSchema>
}

/** A topic changes its schema rarely, and then for good; keys and rows of a table have one each. */
const REMEMBERED = 4

export class SchemaMemory {
  readonly #known: { readonly words: DataView; readonly schema: ConnectSchema }[] = []
  /** Of the bytes that were looked at last: many messages stand in the same. */
  #view: DataView = new DataView(new ArrayBuffer(0))

  /** The schema at `reader`, which is left behind it; null for a null. The same object as before for the same bytes. */
  read(reader: JsonReader): ConnectSchema | null {
    reader.peek()
    const from = reader.at
    if (this.#view.buffer !== reader.bytes.buffer) this.#view = new DataView(reader.bytes.buffer)
    for (const { words, schema } of this.#known) {
      const isSame = from + words.byteLength <= reader.end && sameAt(this.#view, reader.bytes.byteOffset + from, words)
      if (!isSame) continue
      reader.at = from + words.byteLength
      return schema
    }
    if (reader.null()) return null
    reader.skip()
    const schema = schemaOf(JSON.parse(utf8Text(reader.bytes, from, reader.at) ?? 'null'), 0)
    if (this.#known.length === REMEMBERED) this.#known.pop()
    const own = Uint8Array.from(reader.bytes.subarray(from, reader.at))
    this.#known.unshift({ words: new DataView(own.buffer), schema })
    return schema
  }
}

/** By eight bytes at a time: a schema is most of a message that brings one. Bytes that make no number are never the same: it is read again. */
function sameAt(bytes: DataView, from: number, other: DataView): boolean {
  const length = other.byteLength
  let at = 0
  for (; at + 8 <= length; at += 8) if (bytes.getFloat64(from + at, true) !== other.getFloat64(at, true)) return false
  for (; at < length; at++) if (bytes.getInt8(from + at) !== other.getInt8(at)) return false
  return true
}

function schemaOf(value: unknown, depth: number): ConnectSchema {
  if (depth > 32 || !isObject(value) || typeof value['type'] !== 'string') throw badMessage('has a schema that is none')
  const { type, name, parameters, items, fields } = value
  const named = new Map<string, ConnectSchema>()
  for (const field of Array.isArray(fields) ? fields : []) {
    if (!isObject(field) || typeof field['field'] !== 'string') throw badMessage('has a schema that is none')
    named.set(field['field'], schemaOf(field, depth + 1))
  }
  return {
    type,
    name: typeof name === 'string' ? name : null,
    parameters: isObject(parameters) ? parameters : {},
    items: isObject(items) ? schemaOf(items, depth + 1) : null,
    fields: named,
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
