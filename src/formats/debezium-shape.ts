// What a message shows of its table, for those whose table nobody else describes: which fields a row has, of which schemas, what its key
// is, and whether the row stands in an envelope or alone.

import { connectorNamed, isOrdered, type SourceConnector } from './debezium-connectors.ts'
import { JsonReader, OBJECT, STRING } from './debezium-json.ts'
import { Payload } from './debezium-payload.ts'
import { type ConnectSchema, SchemaMemory } from './debezium-schema.ts'
import { TextBuilder } from './debezium-text.ts'

export interface MessageShape {
  /** null: the message is an object of no known form. It may be a bare row, with nothing added to it. */
  readonly form: 'envelope' | 'unwrapped' | null
  /** Of a row, in their order; null where the message brings no schema. */
  readonly fields: ReadonlyMap<string, ConnectSchema | null>
  /** null where the message has none. */
  readonly key: readonly string[] | null
  /** It says where in the order of the source's log the change stands. */
  readonly hasPlace: boolean
  /** A bare row says whether it was deleted: deletes are rows, and tombstones say nothing. */
  readonly rewritesDeletes: boolean
  /** null where the message does not name it. */
  readonly connector: SourceConnector | null
}

/** Fields that ExtractNewRecordState adds to a row. */
export function isAddedField(name: string): boolean {
  return name.startsWith('__')
}

const ADDED = ['__deleted', '__op', '__table', '__lsn', '__source_sequence', '__sequence', '__connector', '__source_connector']

interface Member {
  readonly name: string
  readonly isObject: boolean
  /** null for what is no text. */
  readonly text: string | null
}

/** null for a message without a row: a tombstone, a TRUNCATE, a message of the log. Throws `bad-message`. */
export function shapeOf(key: Uint8Array | null, value: Uint8Array | null): MessageShape | null {
  if (value === null) return null
  const [reader, payload] = [new JsonReader(), new Payload()]
  if (!payload.enter(reader, value, new SchemaMemory())) return null
  const { schema } = payload
  const from = reader.at
  const members = membersOf(reader)
  payload.leave(reader)
  const keyNames = key === null ? null : namesOf(key)
  const isThere = (name: string): boolean => members.some((member) => member.name === name)
  const objects = new Set(members.filter(({ isObject }) => isObject).map(({ name }) => name))
  if (isThere('op') && (objects.has('source') || objects.has('before') || objects.has('after'))) {
    const row = objects.has('after') ? 'after' : objects.has('before') ? 'before' : null
    if (row === null) return null
    const fields = schema?.fields.get(row)?.fields ?? plainFields(membersAt(reader, value, from, row))
    const source = objects.has('source') ? membersAt(reader, value, from, 'source') : []
    return { form: 'envelope', fields, key: keyNames, rewritesDeletes: false, ...originOf(source) }
  }
  const fields = schema?.fields ?? plainFields(members)
  const added = members.filter(({ name }) => isAddedField(name))
  const origin = originOf(added.map((one) => ({ ...one, name: one.name.replace(/^__(source_)?/, '') })))
  const rewritesDeletes = isThere('__deleted')
  return {
    ...origin,
    form: ADDED.some(isThere) ? 'unwrapped' : null,
    fields: new Map([...fields].filter(([name]) => !isAddedField(name))),
    key: keyNames,
    rewritesDeletes,
    // A tombstone has no place: where it is a delete, that of rows is of no use.
    hasPlace: origin.hasPlace && rewritesDeletes,
  }
}

/** By what is said of the source. */
function originOf(members: readonly Member[]): Pick<MessageShape, 'connector' | 'hasPlace'> {
  const isThere = (name: string): boolean => members.some((member) => member.name === name)
  const name = members.find((member) => member.name === 'connector')?.text ?? null
  const connector = name === null ? null : connectorNamed(name)
  const isPlaced = isThere('sequence') || (connector === 'sqlserver' && isThere('commit_lsn') && isThere('change_lsn'))
  return { connector, hasPlace: isPlaced && isOrdered(connector ?? 'postgresql') }
}

function plainFields(members: readonly Member[]): ReadonlyMap<string, null> {
  return new Map(members.map(({ name }) => [name, null]))
}

/** Of the object at the reader, which is left behind. */
function membersOf(reader: JsonReader): readonly Member[] {
  const scratch = new TextBuilder()
  const members: Member[] = []
  if (!reader.beginObject()) return members
  do {
    reader.name()
    const name = reader.text(scratch)
    const first = reader.peek()
    if (first === STRING) reader.string()
    else reader.skip()
    members.push({ name, isObject: first === OBJECT, text: first === STRING ? reader.text(scratch) : null })
  } while (reader.moreMembers())
  return members
}

/** Of an object that is a member of the object at `from`. */
function membersAt(reader: JsonReader, bytes: Uint8Array, from: number, wanted: string): readonly Member[] {
  const scratch = new TextBuilder()
  reader.open(bytes, from)
  if (!reader.beginObject()) return []
  do {
    reader.name()
    if (reader.text(scratch) === wanted) return membersOf(reader)
    reader.skip()
  } while (reader.moreMembers())
  return []
}

/** Of a key, which is an object. */
function namesOf(bytes: Uint8Array): readonly string[] {
  const [reader, payload] = [new JsonReader(), new Payload()]
  return payload.enter(reader, bytes, new SchemaMemory()) ? membersOf(reader).map(({ name }) => name) : []
}
