// Measures how fast one core turns Debezium's messages into changes, beside JSON.parse of the same bytes, which loses digits and decodes no
// type: node bench/decode-debezium.ts [MESSAGES, default 300000]. No speed is ever asserted; exit 1: what was decoded is not what was made.

import { cpus, loadavg } from 'node:os'
import { ChangesChunk } from '../src/core/changes-chunk.ts'
import { DebeziumDecoder, type DebeziumMessage } from '../src/formats/debezium.ts'

const ROUNDS = 5
const DISTINCT = 2000
const HEADERS = new Map<string, null>()
const COLUMNS: readonly [name: string, declared: string, schema: object][] = [
  ['id', 'bigint', { type: 'int64', optional: false }],
  ['customer', 'text', { type: 'string', optional: false }],
  ['amount', 'numeric(12,2)', { type: 'string', optional: false }],
  ['status', 'text', { type: 'string', optional: true, default: 'new' }],
  ['qty', 'integer', { type: 'int32', optional: true, default: 7 }],
  ['updated_at', 'timestamp with time zone', { type: 'string', optional: false, name: 'io.debezium.time.ZonedTimestamp', version: 1 }],
  ['shipped_at', 'timestamp without time zone', { type: 'int64', optional: true, name: 'io.debezium.time.MicroTimestamp', version: 1 }],
]

/** An update, as the connector with safe settings sends it. */
function payload(number: number): string {
  const [id, lsn, micros] = [9_007_199_254_000_000n + BigInt(number), 37_783_472 + 64 * number, 1_774_751_400_000_000 + number * 7919]
  const after = `{"id":${id},"customer":"customer ${number}","amount":"${number % 1000}.${String(number % 100).padStart(2, '0')}","status":${number % 5 === 0 ? 'null' : '"new"'},"qty":${number % 13},"updated_at":"2026-02-02T00:00:${String(number % 60).padStart(2, '0')}.500000Z","shipped_at":${micros}}`
  const source = `{"version":"3.7.0.Final","connector":"postgresql","name":"cdc","ts_ms":1795370852471,"snapshot":null,"db":"shop","sequence":"[\\"${lsn}\\",\\"${lsn}\\"]","ts_us":1795370852471099,"ts_ns":1795370852471099000,"schema":"public","table":"orders","txId":${number},"lsn":${lsn},"xmin":null,"origin":null,"origin_lsn":null}`
  return `{"before":null,"after":${after},"source":${source},"transaction":{"id":"${number}:${lsn}","total_order":1,"data_collection_order":1},"op":"u","ts_ms":1795370852707,"ts_us":1795370852707595,"ts_ns":1795370852707595779}`
}

function messages(withSchemas: boolean): readonly DebeziumMessage[] {
  const fields = COLUMNS.map(([field, , schema]) => ({ ...schema, field }))
  const row = (field: string) => ({ type: 'struct', fields, optional: true, name: 'cdc.public.orders.Value', field })
  const schema = JSON.stringify({
    type: 'struct',
    fields: [row('before'), row('after')],
    optional: false,
    name: 'cdc.public.orders.Envelope',
  })
  const key = JSON.stringify({ type: 'struct', fields: fields.slice(0, 1), optional: false, name: 'cdc.public.orders.Key' })
  const beside = (one: string, own: string): Uint8Array => Buffer.from(withSchemas ? `{"schema":${one},"payload":${own}}` : own)
  return Array.from({ length: DISTINCT }, (_, number) => ({
    key: beside(key, `{"id":${9_007_199_254_000_000n + BigInt(number)}}`),
    value: beside(schema, payload(number)),
    headers: HEADERS,
  }))
}

/** Of CPU time, which other work on the machine changes least. */
const perSecond = (count: number, work: () => void): number => {
  const start = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(start)
  return Math.round((count * 1e6) / (user + system))
}
const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] as number

function decoder(): DebeziumDecoder {
  const columns = COLUMNS.map(([name, declared], place) => ({ name, declared, place }))
  const table = { schema: 'public', name: 'orders', number: 0, width: COLUMNS.length, columns, key: ['id'], wholeBefore: false }
  const modes = { decimals: 'string', times: 'microseconds', binary: 'bytes', intervals: 'string', hstore: 'json' } as const
  return new DebeziumDecoder(table, { modes: { ...modes, unknownTypes: false, failures: 'fail' }, form: 'envelope' })
}

function check(all: readonly DebeziumMessage[]): void {
  const chunk = new ChangesChunk()
  const decode = decoder()
  for (const one of all) decode.decode(one, chunk)
  const row = chunk.row[1234] as number
  const texts = COLUMNS.map((_, place) => {
    const from = chunk.start[row + place] as number
    return Buffer.from(chunk.bytes.subarray(from, from + (chunk.length[row + place] as number))).toString()
  })
  const wanted = ['9007199254001234', 'customer 1234', '234.34', 'new', '12', '2026-02-02 00:00:34.5+00', '2026-03-29 02:30:09.772046']
  if (chunk.count === DISTINCT && texts.join() === wanted.join()) return
  console.error(`What was decoded is not what was made: ${texts.join()}`)
  process.exit(1)
}

const count = Number(process.argv[2] ?? 300_000)
if (!Number.isInteger(count) || count < 1000) {
  console.error('usage: node bench/decode-debezium.ts [MESSAGES, from 1000]')
  process.exit(2)
}
console.log(
  `${cpus()[0]?.model.trim()}, Node ${process.version}; messages per second of CPU, medians of ${ROUNDS} rounds of ${count.toLocaleString('en')}, by turns`,
)
for (const withSchemas of [false, true]) {
  const all = messages(withSchemas)
  check(all)
  const ours: number[] = []
  const parse: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const decode = decoder()
    const chunk = new ChangesChunk()
    ours.push(
      perSecond(count, () => {
        for (let at = 0; at < count; at++) {
          decode.decode(all[at % DISTINCT] as DebeziumMessage, chunk)
          if (chunk.count === 10_000) chunk.clear()
        }
      }),
    )
    parse.push(
      perSecond(count, () => {
        for (let at = 0; at < count; at++) {
          const { key, value } = all[at % DISTINCT] as DebeziumMessage
          JSON.parse((key as Buffer).toString())
          JSON.parse((value as Buffer).toString())
        }
      }),
    )
  }
  const [first] = all
  const sign = (value: number): string => value.toLocaleString('en').padStart(9)
  console.log(
    `schemas ${withSchemas ? 'on ' : 'off'}, ${first?.value?.length} bytes: decoded ${sign(median(ours))}/s, JSON.parse alone ${sign(median(parse))}/s, load ${loadavg()[0]?.toFixed(1)}`,
  )
}
