import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ABSENT, ChangesChunk, DELETE, INSERT, NONE, NULL, TRUNCATE, UNCHANGED, UPDATE } from '../core/changes-chunk.ts'
import { LoadError } from '../core/errors.ts'
import { foldChanges } from '../core/fold-changes.ts'
import { DebeziumDecoder, type DebeziumMessage, type DebeziumOptions, type DebeziumTable } from './debezium.ts'
import type { DebeziumModes } from './debezium-encoding.ts'
import { readHeartbeat, readTransactionEvent } from './debezium-source.ts'

const SAFE: DebeziumModes = {
  decimals: 'string',
  times: 'microseconds',
  binary: 'bytes',
  intervals: 'string',
  hstore: 'json',
  unknownTypes: false,
  failures: 'fail',
}
const COLUMNS: readonly [string, string][] = [
  ['id', 'bigint'],
  ['name', 'text'],
  ['data', 'bytea'],
]
const TABLE: DebeziumTable = {
  schema: 'public',
  name: 't',
  number: 0,
  width: 3,
  columns: COLUMNS.map(([name, declared], place) => ({ name, declared, place })),
  key: ['id'],
  wholeBefore: false,
}

type Json = string | number | null | boolean | readonly Json[] | { readonly [name: string]: Json }
const bytes = (value: Json | undefined): Uint8Array | null => (value === undefined ? null : Buffer.from(JSON.stringify(value)))
const source = { schema: 'public', table: 't', lsn: 200, sequence: '["100","200"]', txId: 7, ts_ms: 5, ts_us: 5001, snapshot: null }

interface Told {
  readonly op: string
  readonly key?: Json
  readonly before?: Json
  readonly after?: Json
  readonly headers?: Readonly<Record<string, Json>>
  readonly source?: Json
  readonly transaction?: Json
}

function message({ op, key = { id: 1 }, before = null, after = null, headers = {}, transaction = null, ...rest }: Told): DebeziumMessage {
  const value = { before, after, source: rest.source ?? source, transaction, op, ts_ms: 9 }
  return { key: bytes(key), value: bytes(value), headers: new Map(Object.entries(headers).map(([name, one]) => [name, bytes(one)])) }
}

const tombstone = (key: Json, headers: Readonly<Record<string, Json>> = {}): DebeziumMessage => ({
  ...message({ op: 'd', key, headers }),
  value: null,
})

function start(table: Partial<DebeziumTable> = {}, options: Partial<DebeziumOptions> = {}) {
  const decoder = new DebeziumDecoder({ ...TABLE, ...table }, { modes: SAFE, form: 'envelope', ...options })
  const chunk = new ChangesChunk()
  return { chunk, take: (one: DebeziumMessage) => decoder.decode(one, chunk) }
}

const cells = (chunk: ChangesChunk, row: number | undefined, width = 3): (string | number)[] | null =>
  row === undefined || row === NONE
    ? null
    : Array.from({ length: width }, (_, place) => {
        const [from, length] = [chunk.start[row + place] as number, chunk.length[row + place] as number]
        return length < 0 ? length : Buffer.from(chunk.bytes.subarray(from, from + length)).toString()
      })
const changes = (chunk: ChangesChunk) =>
  Array.from({ length: chunk.count }, (_, at) => [chunk.op[at], cells(chunk, chunk.old[at]), cells(chunk, chunk.row[at])])

describe('envelopes', () => {
  test('rows of snapshots, new ones, changed ones, deletes and truncates', () => {
    const { chunk, take } = start()
    const event = take(message({ op: 'r', after: { id: 1, name: 'a', data: 'AP8=' } }))
    expect(event).toMatchObject({ kind: 'change', unknown: [], transaction: null })
    take(message({ op: 'c', after: { id: 2, name: null, data: null } }))
    take(message({ op: 'u', before: null, after: { id: 2, name: 'b', data: null } }))
    // Values that the connector has made up for columns that may not be NULL.
    take(message({ op: 'd', key: { id: 2 }, before: { id: 2, name: '', data: '' } }))
    expect(take(tombstone({ id: 2 })).kind).toBe('tombstone')
    take({ ...message({ op: 't' }), key: null })
    expect(changes(chunk)).toEqual([
      [INSERT, null, ['1', 'a', '\\x00ff']],
      [INSERT, null, ['2', NULL, NULL]],
      [UPDATE, null, ['2', 'b', NULL]],
      [DELETE, ['2', ABSENT, ABSENT], null],
      [TRUNCATE, null, null],
    ])
  })

  test('where a change stands in the log, and in which transaction', () => {
    const { take } = start()
    const transaction = { id: '850:37783264', total_order: 2, data_collection_order: 1 }
    const after = { id: 1, name: 'a', data: null }
    expect(take(message({ op: 'c', after, transaction }))).toMatchObject({
      position: { lsn: 200n, lastCommit: 100n, txId: 7n, micros: 5001n, snapshot: 'none' },
      transaction: { txId: '850', order: 2 },
    })
    const incremental = { ...source, lsn: null, txId: null, snapshot: 'incremental' }
    expect(take(message({ op: 'r', after, source: incremental })).position).toMatchObject({
      lsn: 200n,
      txId: null,
      snapshot: 'incremental',
    })
    const first = { ...source, snapshot: 'first', sequence: '[null,"18446744073709551615"]', lsn: null }
    expect(take(message({ op: 'r', after, source: first })).position).toMatchObject({
      lsn: 18_446_744_073_709_551_615n,
      lastCommit: null,
      snapshot: 'initial',
    })
  })

  test('a place in the log without its commit orders nothing: transactions lie in it one inside the other', () => {
    const after = { id: 1, name: 'a', data: null }
    const { sequence: _, ...unordered } = source
    const { take } = start()
    expect(take(message({ op: 'u', after, source: unordered })).position).toMatchObject({ lsn: null, micros: 5001n })
    const bare = start({}, { form: 'unwrapped' })
    const row = { key: bytes({ id: 1 }), headers: new Map(), value: bytes({ ...after, __op: 'u', __lsn: 200 }) }
    expect(bare.take(row).position?.lsn ?? null).toBeNull()
  })

  test('a row that moves to another key takes along what was not sent', () => {
    const { chunk, take } = start()
    const moving = { '__debezium.newkey': { id: 2 } }
    expect(take(message({ op: 'd', before: { id: 1, name: '', data: null }, headers: moving })).kind).toBe('moving')
    expect(take(tombstone({ id: 1 }, moving)).kind).toBe('tombstone')
    const after = { id: 2, name: '__debezium_unavailable_value', data: 'AA==' }
    take(message({ op: 'c', key: { id: 2 }, after, headers: { '__debezium.oldkey': { id: 1 } } }))
    expect(changes(chunk)).toEqual([[UPDATE, ['1', ABSENT, ABSENT], ['2', UNCHANGED, '\\x00']]])
  })

  test('two rows exchange their keys in one transaction, and both are there', () => {
    const { chunk, take } = start({ wholeBefore: true })
    for (const [from, to, name] of [
      [1, 2, 'one'],
      [2, 1, 'two'],
    ] as const) {
      const headers = { '__debezium.newkey': { id: to } }
      take(message({ op: 'd', key: { id: from }, before: { id: from, name, data: null }, headers }))
      take(tombstone({ id: from }, headers))
      const back = { '__debezium.oldkey': { id: from } }
      take(message({ op: 'c', key: { id: to }, after: { id: to, name, data: null }, headers: back }))
    }
    expect(cells(chunk, chunk.old[1])).toEqual(['2', 'two', NULL])
    const [folded] = foldChanges(chunk, [{ width: 3, key: [0] }])
    expect(folded?.deletes).toEqual([])
    expect(folded?.rows.map((row) => cells(chunk, row)).sort()).toEqual([
      ['1', 'two', NULL],
      ['2', 'one', NULL],
    ])
  })

  test('what was said of a row that moved is not used for another one', () => {
    const { chunk, take } = start({ wholeBefore: true })
    take(message({ op: 'd', before: { id: 1, name: 'x', data: null }, headers: { '__debezium.newkey': { id: 9 } } }))
    const headers = { '__debezium.oldkey': { id: 5 } }
    take(message({ op: 'c', key: { id: 6 }, after: { id: 6, name: 'y', data: null }, headers }))
    expect(changes(chunk)).toEqual([[UPDATE, ['5', ABSENT, ABSENT], ['6', 'y', NULL]]])
  })

  test('rows of before that are whole are kept', () => {
    const { chunk, take } = start({ wholeBefore: true })
    take(message({ op: 'u', before: { id: 1, name: 'a', data: 'AA==' }, after: { id: 1, name: 'b', data: 'AA==' } }))
    take(message({ op: 'd', before: { id: 1, name: 'b', data: null } }))
    expect(changes(chunk)).toEqual([
      [UPDATE, ['1', 'a', '\\x00'], ['1', 'b', '\\x00']],
      [DELETE, ['1', 'b', NULL], null],
    ])
  })

  test('tables without a key', () => {
    const { chunk, take } = start({ key: [], wholeBefore: true })
    const keyless = (told: Told): DebeziumMessage => ({ ...message(told), key: null })
    take(keyless({ op: 'c', after: { id: 1, name: 'a', data: null } }))
    take(keyless({ op: 'd', before: { id: 1, name: 'a', data: null } }))
    expect(take({ key: null, value: null, headers: new Map() }).kind).toBe('tombstone')
    expect(changes(chunk)).toEqual([
      [INSERT, null, ['1', 'a', NULL]],
      [DELETE, ['1', 'a', NULL], null],
    ])
  })

  test('messages of the log bring no change', () => {
    const { chunk, take } = start()
    const value = bytes({ op: 'm', ts_ms: 1, source: { ...source, schema: '', table: '' }, message: { prefix: 'p', content: 'aGVsbG8=' } })
    expect(take({ key: bytes({ prefix: 'p' }), value, headers: new Map() }).kind).toBe('message')
    expect(chunk.count).toBe(0)
  })

  test('fields in another order, more of them, and fewer', () => {
    const columns = TABLE.columns.map((column) => (column.name === 'name' ? { ...column, absent: 'old' } : { ...column, absent: null }))
    const { chunk, take } = start({ columns })
    expect(take(message({ op: 'c', after: { more: { deep: [1] }, data: 'AA==', id: 1 } })).unknown).toEqual(['more'])
    expect(take(message({ op: 'u', after: { id: 1, data: null } })).unknown).toEqual([])
    take(message({ op: 'c', after: { id: 2 } }))
    expect(changes(chunk)).toEqual([
      [INSERT, null, ['1', 'old', '\\x00']],
      [UPDATE, null, ['1', UNCHANGED, NULL]],
      [INSERT, null, ['2', 'old', NULL]],
    ])
  })

  test('columns that are not loaded are passed over, whatever they are', () => {
    const columns = [...TABLE.columns, { name: 'shape', declared: 'polygon', place: null }]
    const { chunk, take } = start({ columns })
    take(message({ op: 'c', after: { id: 1, name: 'a', data: null, shape: { wkb: 'AA==', srid: null } } }))
    expect(changes(chunk)).toEqual([[INSERT, null, ['1', 'a', NULL]]])
  })

  test('schemas stand beside values and keys', () => {
    const { chunk, take } = start({}, { modes: { ...SAFE, decimals: 'precise' } })
    const fields = [
      { type: 'int64', field: 'id' },
      { type: 'string', field: 'name' },
      { type: 'bytes', field: 'data' },
    ]
    const struct = (field: string) => ({ type: 'struct', field, fields })
    const payload = { before: null, after: { id: 1, name: 'a', data: 'AA==' }, source, op: 'c' }
    const beside = (schema: Json, inner: Json) => bytes({ schema, payload: inner })
    const key = beside({ type: 'struct', fields: [{ type: 'int64', field: 'id' }] }, { id: 1 })
    const schema = { type: 'struct', fields: [struct('before'), struct('after')] }
    take({ key, value: beside(schema, payload), headers: new Map() })
    take({ key, value: beside(schema, { ...payload, op: 'd', after: null }), headers: new Map() })
    expect(take({ key, value: beside(null, null), headers: new Map() }).kind).toBe('tombstone')
    expect(changes(chunk)).toEqual([
      [INSERT, null, ['1', 'a', '\\x00']],
      [DELETE, ['1', ABSENT, ABSENT], null],
    ])
  })
})

describe('what has not changed is never data', () => {
  const TEXT = '__debezium_unavailable_value'
  const BASE64 = Buffer.from(TEXT).toString('base64')
  const forms: [declared: string, json: Json, modes?: Partial<DebeziumModes>][] = [
    ['text', TEXT],
    ['jsonb', TEXT],
    ['numeric', TEXT],
    ['bytea', BASE64],
    ['bytea', Buffer.from(TEXT).toString('hex'), { binary: 'hex' }],
    ['bytea', TEXT, { binary: 'hex' }],
    ['text[]', [TEXT]],
    ['jsonb[]', [TEXT]],
    ['bytea[]', [BASE64]],
    ['integer[]', [...Buffer.from(TEXT)]],
    ['bigint[]', [...Buffer.from(TEXT)]],
    ['date[]', [...Buffer.from(TEXT)]],
    ['uuid[]', ['b68a35a7-17ad-35b3-af2a-ae46edb4545a']],
    ['hstore', JSON.stringify({ [TEXT]: TEXT })],
    ['hstore', { [TEXT]: TEXT }, { hstore: 'map' }],
  ]
  const told = (declared: string, modes: Partial<DebeziumModes>) =>
    start({ columns: [...TABLE.columns.slice(0, 1), { name: 'v', declared, place: 1 }], width: 2 }, { modes: { ...SAFE, ...modes } })

  test.each(forms)('%s', (declared, v, modes = {}) => {
    const { chunk, take } = told(declared, modes)
    take(message({ op: 'u', after: { id: 1, v } }))
    expect(cells(chunk, chunk.row[0], 2)).toEqual(['1', UNCHANGED])
    expect(() => take(message({ op: 'c', after: { id: 1, v } }))).toThrow(expect.objectContaining({ code: 'bad-message' }))
    expect(chunk.count).toBe(1)
  })

  test('a placeholder of the connector’s own', () => {
    const { chunk, take } = start({}, { placeholder: { text: 'gone+', uuid: 'u' } })
    take(message({ op: 'u', after: { id: 1, name: 'gone+', data: Buffer.from('gone+').toString('base64') } }))
    take(message({ op: 'u', after: { id: 1, name: TEXT, data: null } }))
    expect(changes(chunk).map(([, , row]) => row)).toEqual([
      ['1', UNCHANGED, UNCHANGED],
      ['1', TEXT, NULL],
    ])
  })

  test.each([
    ['bytea', { binary: 'base64' }, '`binary.handling.mode=bytes`'],
    ['numeric', { decimals: 'precise' }, '`decimal.handling.mode=string`'],
  ] as const)('NULL where it may be lost: %s, %o', (declared, modes, hint) => {
    const { take } = told(declared, modes)
    take(message({ op: 'c', after: { id: 1, v: null } }))
    expect(() => take(message({ op: 'u', after: { id: 1, v: null } }))).toThrow(
      expect.objectContaining({ code: 'value-refused', hint: expect.stringContaining(hint) }),
    )
  })
})

describe('unwrapped rows', () => {
  const row = (value: Json, key: Json = { id: 1 }, headers: Readonly<Record<string, Json>> = {}): DebeziumMessage => ({
    ...message({ op: '', key, headers }),
    value: bytes(value),
  })
  const added = { __table: 't', __lsn: 200, __source_sequence: '["100","200"]', __source_ts_us: 5001, __transaction_id: '850:200' }

  test('with what was added to them', () => {
    const { chunk, take } = start({}, { form: 'unwrapped' })
    const event = take(row({ id: 1, name: 'a', data: null, __deleted: 'false', __op: 'c', ...added }))
    expect(event).toMatchObject({
      kind: 'change',
      unknown: [],
      position: { lsn: 200n, lastCommit: 100n, txId: 850n, micros: 5001n, snapshot: 'none' },
    })
    take(row({ id: 1, name: '__debezium_unavailable_value', data: null, __deleted: 'false', __op: 'u' }))
    take(row({ id: 1, name: '', data: '', __deleted: 'true', __op: 'd' }))
    expect(take(tombstone({ id: 1 })).kind).toBe('tombstone')
    expect(changes(chunk)).toEqual([
      [INSERT, null, ['1', 'a', NULL]],
      [UPDATE, null, ['1', UNCHANGED, NULL]],
      [DELETE, ['1', ABSENT, ABSENT], null],
    ])
  })

  test('a tombstone says no place: it deletes only where no other change is known by its place either', () => {
    const { chunk, take } = start({}, { form: 'unwrapped' })
    // Written again, the delete would be applied and the row that came after it would not.
    expect(take(row({ id: 1, name: 'a', data: null, __op: 'c', ...added })).position?.lsn ?? null).toBeNull()
    expect(take(tombstone({ id: 1 })).kind).toBe('change')
    take(row({ id: 1, name: 'b', data: null, __op: 'c', __deleted: 'false', ...added }))
    expect(take(tombstone({ id: 1 })).kind).toBe('tombstone')
    expect(chunk.count).toBe(3)
    // What the topic shows counts until the first row comes.
    expect(start({}, { form: 'unwrapped', rewritesDeletes: true }).take(tombstone({ id: 1 })).kind).toBe('tombstone')
    expect(start({}, { form: 'unwrapped' }).take(tombstone({ id: 1 })).kind).toBe('change')
  })

  test('with nothing added', () => {
    const columns = TABLE.columns.map((column) => ({ ...column, absent: null }))
    const { chunk, take } = start({ columns }, { form: 'unwrapped' })
    expect(take(row({ id: 1, name: '__debezium_unavailable_value' })).position).toBe(null)
    take(tombstone({ id: 2 }))
    expect(take(tombstone({ id: 2 }, { '__debezium.newkey': { id: 3 } })).kind).toBe('tombstone')
    take(row({ id: 3, name: 'c', data: null }, { id: 3 }, { '__debezium.oldkey': { id: 2 } }))
    expect(changes(chunk)).toEqual([
      [UPDATE, null, ['1', UNCHANGED, NULL]],
      [DELETE, ['2', ABSENT, ABSENT], null],
      [UPDATE, ['2', ABSENT, ABSENT], ['3', 'c', NULL]],
    ])
  })
})

describe('bad-message', () => {
  const after = { id: 1, name: 'a', data: null }
  const raw = (value: string): DebeziumMessage => ({ ...message({ op: 'c' }), value: Buffer.from(value) })
  const cases: [what: string, message: DebeziumMessage, says: string][] = [
    ['no JSON', raw('{"before":null,'), 'is no JSON'],
    ['something behind it', raw('{"op":"m"} x'), 'is no JSON'],
    ['a number with a zero before it', raw('{"op":"m","x":01}'), 'is no JSON'],
    ['half a character', raw('{"op":"c","after":{"id":1,"name":"\\ud83d","data":null}}'), 'is no JSON'],
    ['no UTF-8', { ...raw(''), value: Uint8Array.from([...Buffer.from('{"x":"'), 0xff, ...Buffer.from('"}')]) }, 'no UTF-8'],
    ['an array', raw('[]'), 'is no object'],
    ['too deep', raw(`{"x":${'['.repeat(100)}${']'.repeat(100)}}`), 'too deeply'],
    ['no op', raw('{"before":null}'), 'has no `op`'],
    ['an unknown op', message({ op: 'x', after }), 'not known: "x"'],
    ['no row', message({ op: 'c' }), 'has no `after`'],
    ['no key', { ...message({ op: 'c', after }), key: null }, 'has no key'],
    ['a key of other columns', message({ op: 'd', key: { other: 1 } }), 'lacks the key column "id"'],
    ['a row without its key', message({ op: 'u', after: { name: 'a', data: null } }), 'lacks the key column "id"'],
    ['another table', message({ op: 'c', after, source: { ...source, table: 'T' } }), 'another table'],
    ['a form that does not fit', message({ op: 'c', after: { ...after, data: 12 } }), 'column "data"'],
    ['a fraction of a whole number', message({ op: 'c', after: { ...after, id: 1.5 } }), 'column "id"'],
    ['bytes that are none', message({ op: 'c', after: { ...after, data: '§' } }), 'no base64'],
    [
      'an unknown schema',
      raw(
        `{"schema":{"type":"struct","fields":[{"type":"struct","field":"after","fields":[{"type":"int64","name":"org.example.Odd","field":"id"},{"type":"string","field":"name"}]}]},"payload":{"op":"c","after":{"id":1,"name":"a","data":null}}}`,
      ),
      '"org.example.Odd"',
    ],
    ['an escape that is none', raw('{"schema":{"type":"\\x"},"payload":{}}'), 'is no JSON'],
    ['a schema that is none', raw('{"schema":{"fields":[]},"payload":{}}'), 'schema that is none'],
  ]

  test.each(cases)('%s', (_, one, says) => {
    const { chunk, take } = start()
    expect(() => take(one)).toThrow(expect.objectContaining({ code: 'bad-message', message: expect.stringContaining(says) }))
    expect([chunk.count, chunk.cells, chunk.used]).toEqual([0, 0, 0])
  })

  test('a column that a new row must have', () => {
    expect(() => start().take(message({ op: 'c', after: { id: 1, data: null } }))).toThrow(
      expect.objectContaining({ code: 'value-refused', message: expect.stringContaining('"name"') }),
    )
  })

  test('no value of a row in any message', () => {
    const secret = 'hunter2'
    for (const declared of [
      'bytea',
      'date',
      'numeric',
      'interval',
      'boolean',
      'text[]',
      'time without time zone',
      'point',
      'hstore',
      'money',
    ]) {
      const columns = [...TABLE.columns.slice(0, 1), { name: 'v', declared, place: 1 }]
      for (const v of [secret, [secret], { a: secret }])
        for (const times of ['isostring', 'structured', 'microseconds'] as const)
          try {
            start({ columns }, { modes: { ...SAFE, times } }).take(message({ op: 'c', after: { id: 1, v } }))
          } catch (error) {
            expect(`${(error as Error).message}${(error as LoadError).hint}`).not.toContain(secret)
          }
    }
  })
})

test('begin and end of transactions, and heartbeats', () => {
  expect(readTransactionEvent(bytes({ status: 'BEGIN', id: '571:5', event_count: null, data_collections: null, ts_ms: 3 }))).toEqual({
    status: 'BEGIN',
    txId: '571',
    place: 5n,
    events: null,
    tables: new Map(),
    millis: 3,
  })
  const counts = [{ data_collection: 'public.t', event_count: 2 }]
  const end = { status: 'END', id: '571:9', event_count: 2, data_collections: counts, ts_ms: 3 }
  expect(readTransactionEvent(bytes({ schema: { type: 'struct' }, payload: end }))).toMatchObject({
    events: 2,
    tables: new Map([['public.t', 2]]),
  })
  expect(readTransactionEvent(null)).toBe(null)
  expect(readHeartbeat(bytes({ ts_ms: 1_700_000_000_000 }))).toBe(1_700_000_000_000)
  for (const broken of [{}, { status: 'END', id: '1:2' }, { status: 'MIDDLE', id: '1:2' }])
    expect(() => readTransactionEvent(bytes(broken))).toThrow(expect.objectContaining({ code: 'bad-message' }))
  expect(() => readHeartbeat(bytes({}))).toThrow(expect.objectContaining({ code: 'bad-message' }))
})

test('whatever is broken is said to be', () => {
  const types = [
    'bigint',
    'text',
    'numeric',
    'bytea',
    'timestamp without time zone',
    'time without time zone',
    'date',
    'interval',
    'integer[]',
    'bit(9)',
  ]
  const columns = types.map((declared, place) => ({ name: `c${place}`, declared, place, absent: null }))
  const after = {
    c0: 1,
    c1: 'ä\n',
    c2: '1.5',
    c3: 'AP8=',
    c4: 1_774_751_400_123_456,
    c5: 5,
    c6: -735_160,
    c7: 'P1Y2M3DT4H5M6.7S',
    c8: [1, null],
    c9: 'AQE=',
  }
  const whole = message({ op: 'u', key: { c0: 1 }, before: after, after, transaction: { id: '1:2', total_order: 1 } })
  const letters = Buffer.from('{}[]",:\\0123456789.-+eEntfuZTPY_ "')
  const bent = fc.array(fc.tuple(fc.nat(1500), fc.oneof(fc.nat(255), fc.constantFrom(...letters))), { maxLength: 3 })
  const unwrapped = bytes({ ...after, __op: 'u', __lsn: 1, __deleted: 'false' }) as Uint8Array
  const fields = columns.map(({ name }) => ({ type: 'string', field: name, parameters: { 'é\n': '1' } }))
  const schema = { type: 'struct', fields: [{ type: 'struct', field: 'after', fields }] }
  const texts = Object.fromEntries(columns.map(({ name }) => [name, null]))
  const beside = bytes({ schema, payload: { after: { ...texts, c1: 'a' }, op: 'u', source } }) as Uint8Array
  for (const [form, value] of [
    ['envelope', whole.value as Uint8Array],
    ['unwrapped', unwrapped],
    ['envelope', beside],
  ] as const) {
    const { chunk, take } = start({ columns, width: columns.length, key: ['c0'], wholeBefore: true }, { form })
    fc.assert(
      fc.property(bent, fc.option(fc.nat(1500)), (bends, cut) => {
        chunk.clear()
        const sent = Uint8Array.from(value)
        for (const [at, byte] of bends) sent[at % sent.length] = byte
        try {
          take({ ...whole, value: cut === null ? sent : sent.subarray(0, cut % sent.length) })
        } catch (error) {
          if (!(error instanceof LoadError)) throw error
          expect(['bad-message', 'value-refused']).toContain(error.code)
        }
      }),
      { numRuns: 8000 },
    )
  }
})
