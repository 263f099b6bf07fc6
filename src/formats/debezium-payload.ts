// A key or a value of a message, up to what counts of it: JsonConverter writes `{"schema":…,"payload":…}` with schemas, and the payload
// alone without.

import { type JsonReader, OBJECT } from './debezium-json.ts'
import { badMessage } from './debezium-refusal.ts'
import type { ConnectSchema, SchemaMemory } from './debezium-schema.ts'
import { utf8Bytes } from './debezium-text.ts'

const NOTHING = 0x6e
const SCHEMA = utf8Bytes('schema')
const PAYLOAD = utf8Bytes('payload')

export class Payload {
  /** Of what was entered last; null where it brings none. */
  schema: ConnectSchema | null = null
  #isBeside = false

  /** To the object that counts. False for a null. */
  enter(reader: JsonReader, bytes: Uint8Array, memory: SchemaMemory): boolean {
    this.#isBeside = false
    this.schema = null
    reader.open(bytes)
    if (reader.peek() === OBJECT && reader.beginObject()) {
      reader.name()
      const first = reader.is(SCHEMA) ? reader.peek() : 0
      if (first === OBJECT || first === NOTHING) {
        this.schema = memory.read(reader)
        if (reader.moreMembers()) {
          reader.name()
          this.#isBeside = reader.is(PAYLOAD) && (reader.peek() === OBJECT || reader.peek() === NOTHING)
        }
      }
    }
    if (!this.#isBeside) {
      this.schema = null
      reader.open(bytes)
    }
    if (reader.null()) {
      this.leave(reader)
      return false
    }
    if (reader.peek() !== OBJECT) throw badMessage('is no object')
    return true
  }

  /** Behind that object nothing may follow but the end. */
  leave(reader: JsonReader): void {
    if (this.#isBeside && reader.moreMembers()) throw badMessage('has more than a schema and a payload')
    reader.close()
  }
}
