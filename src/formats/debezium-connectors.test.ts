import { describe, expect, test } from 'vitest'
import { FOREIGN_CONNECTORS, type ForeignColumn, type ForeignConnector } from '../../test/debezium/golden-connectors.ts'
import { ChangesChunk, NULL } from '../core/changes-chunk.ts'
import { DebeziumDecoder, type DebeziumEvent } from './debezium.ts'
import { typeOfSchema } from './debezium-declared.ts'
import type { DebeziumModes } from './debezium-encoding.ts'
import { shapeOf } from './debezium-shape.ts'

/** Debezium's own. */
const MODES: DebeziumModes = {
  decimals: 'precise',
  times: 'adaptive',
  binary: 'bytes',
  intervals: 'numeric',
  hstore: 'json',
  unknownTypes: false,
  failures: 'warn',
}

/** An update, which also says NULL of what it has not. */
function message({ source }: ForeignConnector, { schema, json }: ForeignColumn, more: object = {}): Uint8Array {
  const row = { type: 'struct', fields: [{ field: 'id', type: 'int32' }, { ...schema, field: 'v' }] } // biome-ignore format: two of them
  const envelope = { type: 'struct', fields: [{ ...row, field: 'before' }, { ...row, field: 'after' }] } // biome-ignore format: two of them
  const payload = `{"before":{"id":1,"v":null},"after":{"id":1,"v":${json}},"source":${JSON.stringify({ ...source, ...more })},"transaction":null,"op":"u"}`
  return Buffer.from(`{"schema":${JSON.stringify(envelope)},"payload":${payload}}`)
}

interface Decoded {
  readonly declared: string
  readonly event: DebeziumEvent
  readonly text: string
}

function decode(connector: ForeignConnector, column: ForeignColumn, more: object = {}): Decoded {
  const value = message(connector, column, more)
  const shape = shapeOf(null, value)
  const schema = shape?.fields.get('v') ?? null
  const declared = schema === null ? '' : typeOfSchema(schema, shape?.connector).declared
  const columns = [{ name: 'id', declared: 'integer', place: 0 }, { name: 'v', declared, place: 1, absent: null }] // biome-ignore format: two of them
  const decoder = new DebeziumDecoder(
    { ...connector.table, number: 0, width: 2, columns, key: ['id'], wholeBefore: false },
    { modes: MODES, form: 'envelope' },
  )
  const chunk = new ChangesChunk()
  const event = decoder.decode({ key: Buffer.from('{"id":1}'), value, headers: new Map() }, chunk)
  const [start, length] = [chunk.start[1] as number, chunk.length[1] as number]
  return { declared, event, text: length === NULL ? 'NULL' : Buffer.from(chunk.bytes.subarray(start, start + length)).toString() }
}

describe.each(FOREIGN_CONNECTORS)('$name', (connector) => {
  test.each(connector.columns)('$type $json', (column) => {
    if (column.text === null)
      expect(() => decode(connector, column)).toThrow(
        expect.objectContaining({ code: expect.stringMatching(/^(bad-message|value-refused)$/) }),
      )
    else expect(decode(connector, column)).toMatchObject({ declared: column.declared, text: column.text })
  })

  const [first] = connector.columns as [ForeignColumn]

  test('where a change stands, where that can be relied on', () => {
    const { event } = decode(connector, first)
    expect(event.position).toMatchObject(connector.position ?? { lsn: null, lastCommit: null })
    expect(shapeOf(null, message(connector, first))?.hasPlace).toBe(connector.position !== null)
  })

  test('a table of the same name elsewhere is another one', () => {
    expect(() => decode(connector, first, connector.elsewhere)).toThrow(
      expect.objectContaining({ code: 'bad-message', message: expect.stringContaining('another table') }),
    )
  })

  test('transactions are not put together by numbers of which too little is known', () => {
    const text = Buffer.from(message(connector, first)).toString()
    const numbered = text.replace('"transaction":null', '"transaction":{"id":"a:1","total_order":1,"data_collection_order":1}')
    const decoder = new DebeziumDecoder(
      { ...connector.table, number: 0, width: 1, columns: [{ name: 'id', declared: 'integer', place: 0 }, { name: 'v', declared: 'text', place: null }], key: ['id'], wholeBefore: false }, // biome-ignore format: one table
      { modes: MODES, form: 'envelope' },
    )
    expect(
      decoder.decode({ key: Buffer.from('{"id":1}'), value: Buffer.from(numbered), headers: new Map() }, new ChangesChunk()).transaction,
    ).toBeNull()
  })
})

test("SQL Server's places are in the order of commits, and of changes within", () => {
  const sqlserver = FOREIGN_CONNECTORS.find(({ name }) => name === 'sqlserver') as ForeignConnector
  const at = (commit: string, change: string | null, serial: number | null, snapshot = 'false') =>
    decode(sqlserver, sqlserver.columns[0] as ForeignColumn, { commit_lsn: commit, change_lsn: change, event_serial_no: serial, snapshot })
      .event.position
  const [first, second, third] = [
    at('00000027:00000758:0005', '00000027:00000758:0003', 1),
    at('00000027:00000758:0005', '00000027:00000758:0003', 2),
    at('00000027:00000758:0005', '00000027:00000758:0004', 1),
  ]
  expect((first?.lsn ?? 0n) < (second?.lsn ?? 0n) && (second?.lsn ?? 0n) < (third?.lsn ?? 0n)).toBe(true)
  const [read, later] = [at('00000027:00000758:0005', null, null, 'true'), at('0000002a:00000001:0001', '00000001:00000001:0001', 1)]
  expect(read).toMatchObject({ snapshot: 'initial', lastCommit: null, lsn: first?.lastCommit })
  expect((later?.lastCommit ?? 0n) > (read?.lsn ?? 0n)).toBe(true)
  // A change without its place is no change that could be ordered.
  expect(at('00000027:00000758:0005', null, null)?.lsn).toBeNull()
  expect(() => at('27:758:5', null, null)).toThrow(expect.objectContaining({ code: 'bad-message' }))
})

test('a connector that is not known is refused by its name', () => {
  const [mysql] = FOREIGN_CONNECTORS as [ForeignConnector]
  const [first] = mysql.columns as [ForeignColumn]
  const other = { ...mysql, source: { ...mysql.source, connector: 'mongodb' } }
  expect(() => shapeOf(null, message(other, first))).toThrow(
    expect.objectContaining({ code: 'bad-message', message: expect.stringContaining('"mongodb"') }),
  )
  const decoder = new DebeziumDecoder(
    { ...mysql.table, number: 0, width: 0, columns: [], key: [], wholeBefore: false },
    { modes: MODES, form: 'envelope' },
  )
  expect(() => decoder.decode({ key: null, value: message(other, first), headers: new Map() }, new ChangesChunk())).toThrow(
    expect.objectContaining({ code: 'bad-message', message: expect.stringContaining('"mongodb"') }),
  )
})
