import { expect, test } from 'vitest'
import { FOREIGN_VALUES, GOLDEN_VALUES, type GoldenForm, type GoldenValue } from '../../test/debezium/golden-values.ts'
import { ChangesChunk } from '../core/changes-chunk.ts'
import { DebeziumDecoder } from './debezium.ts'
import type { DebeziumModes } from './debezium-encoding.ts'

const SAFE: DebeziumModes = {
  decimals: 'string',
  times: 'microseconds',
  binary: 'bytes',
  intervals: 'string',
  hstore: 'json',
  unknownTypes: false,
  failures: 'fail',
}

/** As a row of one column, inserted. */
function decode({ declared, isEnum = false }: GoldenValue, { modes, json, schema }: GoldenForm): string {
  const column = { name: 'v', declared, isEnum, place: 0 }
  const decoder = new DebeziumDecoder(
    { schema: 'public', name: 't', number: 0, width: 1, columns: [column], key: [], wholeBefore: true },
    { modes: { ...SAFE, ...modes }, form: 'envelope' },
  )
  const payload = `{"before":null,"after":{"v":${json}},"source":{"schema":"public","table":"t","lsn":1},"op":"c"}`
  const envelope = { type: 'struct', fields: [{ type: 'struct', field: 'after', fields: [{ ...schema, field: 'v' }] }] }
  const value = schema === undefined ? payload : `{"schema":${JSON.stringify(envelope)},"payload":${payload}}`
  const chunk = new ChangesChunk()
  decoder.decode({ key: null, value: Buffer.from(value), headers: new Map() }, chunk)
  const [start, length] = [chunk.start[0] as number, chunk.length[0] as number]
  return Buffer.from(chunk.bytes.subarray(start, start + length)).toString()
}

const cases = [...GOLDEN_VALUES, ...FOREIGN_VALUES].flatMap((value) => value.forms.map((form) => ({ value, form })))

test.each(cases)('$value.declared $value.text from $form.json', ({ value, form }) => {
  if (form.refused === undefined) expect(decode(value, form)).toBe(value.text)
  else
    expect(() => decode(value, form)).toThrow(
      expect.objectContaining({ code: 'value-refused', hint: expect.stringContaining(form.refused) }),
    )
})
