// Values of every type, as PostgreSQL prints them and as Debezium sends them in each of its modes: as its documentation has it, and as 3.7
// was seen to do it. One test decodes them; another asks a real PostgreSQL whether the texts are its own.

import type { DebeziumModes } from '../../src/formats/debezium-encoding.ts'

type Schema = Readonly<Record<string, unknown>>

export interface GoldenForm {
  readonly modes: Partial<DebeziumModes>
  /** The value in the message. */
  readonly json: string
  /** Only where messages bring their schema. */
  readonly schema?: Schema
  /** What is advised instead, where the value can't be believed. */
  readonly refused?: string
}

export interface GoldenValue {
  readonly declared: string
  /** Its text, which is also a literal of the type. */
  readonly text: string
  readonly isEnum?: boolean
  readonly forms: readonly GoldenForm[]
}

const form = (json: string, modes: Partial<DebeziumModes> = {}, schema?: Schema): GoldenForm => ({ json, modes, ...(schema && { schema }) })
const refused = (hint: string, json: string, modes: Partial<DebeziumModes> = {}, schema?: Schema): GoldenForm => ({
  ...form(json, modes, schema),
  refused: hint,
})
const value = (declared: string, text: string, ...forms: (string | GoldenForm)[]): GoldenValue => ({
  declared,
  text,
  forms: forms.map((one) => (typeof one === 'string' ? form(one) : one)),
})
const bytes = (name: string, parameters: Schema = {}): Schema => ({ type: 'bytes', name, parameters })
const long = (name: string): Schema => ({ type: 'int64', name })
const text = (name: string | null = null): Schema => ({ type: 'string', ...(name === null ? {} : { name }) })
const struct = (name: string): Schema => ({ type: 'struct', name, fields: [] })
const decimal = (scale: number): Schema => bytes('org.apache.kafka.connect.data.Decimal', { scale: String(scale) })

const PRECISE = { decimals: 'precise' } as const
const DOUBLE = { decimals: 'double' } as const
const MILLIS = { times: 'connect' } as const
const ADAPTIVE = { times: 'adaptive' } as const
const NANOS = { times: 'nanoseconds' } as const
const ISO = { times: 'isostring' } as const
const STRUCTURED = { times: 'structured' } as const
const HEX = { binary: 'hex' } as const
const VARIABLE = struct('io.debezium.data.VariableScaleDecimal')

const PLAIN: readonly GoldenValue[] = [
  value('boolean', 'true', 'true', form('true', {}, { type: 'boolean' })),
  value('boolean', 'false', 'false'),
  value('smallint', '-32768', '-32768'),
  value('bigint', '9007199254740993', '9007199254740993', form('9007199254740993', {}, { type: 'int64' })),
  value('bigint', '-9223372036854775808', '-9223372036854775808'),
  value('oid', '4294967295', '4294967295'),
  value('real', '3.4028235e+38', '3.4028235E38', form('3.4028235E38', {}, { type: 'float' })),
  value('real', '0.1', '0.1'),
  value('real', '1.234567e+06', '1234567.0'),
  value('real', 'NaN', '"NaN"'),
  value('double precision', '-0', '-0.0', form('-0.0', {}, { type: 'double' })),
  value('double precision', '0.1', '0.1'),
  value('double precision', '9.999999999999999e+22', '1.0E23'),
  value('double precision', '-1.7976931348623157e+308', '-1.7976931348623157E308'),
  value('double precision', '5e-324', '4.9E-324'),
  value('double precision', '-Infinity', '"-Infinity"'),
  value('text', 'line\nüñí ☃ 😀 "q" \\', '"line\\nüñí ☃ \\uD83D\\uDE00 \\"q\\" \\\\"'),
  value('character varying(20)', '', '""'),
  value('json', '{"a": 1,  "a":2, "n":12345678901234567890}', '"{\\"a\\": 1,  \\"a\\":2, \\"n\\":12345678901234567890}"'),
  value(
    'jsonb',
    '{"a": [null, true, "x"], "b": 1.10}',
    form('"{\\"a\\": [null, true, \\"x\\"], \\"b\\": 1.10}"', {}, text('io.debezium.data.Json')),
  ),
  value('uuid', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', form('"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"', {}, text('io.debezium.data.Uuid'))),
  value('xml', '<r>1</r>', form('"<r>1</r>"', {}, text('io.debezium.data.Xml'))),
  value('inet', '10.0.0.1/8', '"10.0.0.1/8"'),
  value('int4range', '[1,5)', '"[1,5)"'),
  value(
    'tstzrange',
    '["2026-01-01 00:00:00+00","2026-02-01 00:00:00+00")',
    '"[\\"2026-01-01 00:00:00+00\\",\\"2026-02-01 00:00:00+00\\")"',
    refused("timezone = 'UTC'", '"[\\"2026-01-01 02:00:00+02\\",\\"2026-02-01 02:00:00+02\\")"'),
  ),
  value('tsvector', "'cat':3 'fat':2", form("\"'cat':3 'fat':2\"", {}, text('io.debezium.data.Tsvector'))),
]

const NUMBERS: readonly GoldenValue[] = [
  value(
    'numeric(12,2)',
    '10.50',
    '"10.50"',
    form('"BBo="', PRECISE),
    form('"BBo="', {}, decimal(2)),
    form('10.50', {}, decimal(2)),
    form('10.5', DOUBLE),
    form('10.5', DOUBLE, { type: 'double' }),
  ),
  value('numeric(12,2)', '-0.01', '"-0.01"', form('"/w=="', PRECISE), form('-0.01', DOUBLE)),
  value('numeric(12,2)', 'NaN', '"NAN"', form('"NaN"', DOUBLE)),
  value(
    'numeric(38,10)',
    '-9999999999999999999999999999.9999999999',
    '"-9999999999999999999999999999.9999999999"',
    form('"tMSzV6V5O4X2dd3AAAAAAQ=="', PRECISE),
    refused('`decimal.handling.mode=string`', '-1.0E28', DOUBLE),
  ),
  value(
    'numeric(20,0)',
    '12345678901234567890',
    form('"AKtUqYzrHwrS"', PRECISE),
    refused('`decimal.handling.mode=string`', '1.2E19', DOUBLE),
  ),
  value(
    'numeric',
    '123456789012345678901234567890123456789012345678901234567890.5',
    '"123456789012345678901234567890123456789012345678901234567890.5"',
    form('{"scale":1,"value":"AMStkjDvWS/U6HtMait6LQ4dgB9v5A52bDk="}', PRECISE),
    form('{"scale":1,"value":"AMStkjDvWS/U6HtMait6LQ4dgB9v5A52bDk="}', {}, VARIABLE),
  ),
  value('numeric', '-0.000000000000000000000000000000000000123', form('{"scale":39,"value":"hQ=="}', PRECISE), form('"-1.23E-37"')),
  value('numeric', '1000', form('{"value":"AQ==","scale":-3}', PRECISE), form('"1E+3"')),
  value('numeric', 'Infinity', '"POSITIVE_INFINITY"', form('"Infinity"', DOUBLE)),
  value('numeric', '-Infinity', '"NEGATIVE_INFINITY"'),
  value('money', '$1,234.56', '"1234.56"', form('"AeJA"', PRECISE), form('"AeJA"', {}, decimal(2)), form('1234.56', DOUBLE)),
  value(
    'money',
    '-$92,233,720,368,547,758.08',
    '"-92233720368547758.08"',
    form('"gAAAAAAAAAA="', PRECISE),
    refused('`decimal.handling.mode=string`', '-9.223372036854776E16', DOUBLE),
  ),
]

const BYTES: readonly GoldenValue[] = [
  value(
    'bytea',
    '\\x00ff10414243',
    '"AP8QQUJD"',
    form('"AP8QQUJD"', { binary: 'base64' }, text()),
    form('"00ff10414243"', HEX),
    form('"AP8QQUJD"', {}, { type: 'bytes' }),
  ),
  value('bytea', '\\xfbff', form('"-_8="', { binary: 'base64-url-safe' }), form('"-_8"', { binary: 'base64-url-safe' })),
  value('bytea', '\\x', '""', form('""', HEX)),
  value('bit(1)', '1', 'true', form('true', {}, { type: 'boolean' })),
  value('bit(10)', '1000000001', '"AQI="', form('"AQI="', {}, bytes('io.debezium.data.Bits', { length: '10' }))),
  value('bit(10)', '0000000000', '""'),
  value(
    'bit varying(20)',
    '10101',
    refused('`columns: { exclude', '"FQ=="'),
    refused('`columns: { exclude', '"FQ=="', {}, bytes('io.debezium.data.Bits', { length: '20' })),
  ),
]

const TIMES: readonly GoldenValue[] = [
  value(
    'date',
    '2026-02-28',
    '20512',
    form('"2026-02-28Z"', ISO),
    form('{"year":2026,"month":2,"day":28,"specialValue":null}', STRUCTURED),
    form('20512', {}, { type: 'int32', name: 'org.apache.kafka.connect.data.Date' }),
  ),
  value(
    'date',
    '0044-03-15 BC',
    '-735160',
    form('"-0043-03-15Z"', ISO),
    form('{"year":-43,"month":3,"day":15,"specialValue":null}', STRUCTURED),
  ),
  value('date', '294276-12-31', '106762939', form('"+294276-12-31Z"', ISO)),
  value(
    'date',
    'infinity',
    '2146033979',
    refused('`time.precision.mode=structured`', '-622191234'),
    refused('`time.precision.mode=structured`', '"+5877611-06-21Z"', ISO),
    form('{"year":null,"month":null,"day":null,"specialValue":"POSITIVE_INFINITY"}', STRUCTURED),
  ),
  value('date', '-infinity', '-2147472691', form('{"specialValue":"NEGATIVE_INFINITY"}', STRUCTURED)),
  value(
    'time without time zone',
    '13:14:15.123456',
    '47655123456',
    form('47655123456', ADAPTIVE),
    form('47655123456000', NANOS),
    form('"13:14:15.123456Z"', ISO),
    form('{"hour":13,"minute":14,"second":15,"nanos":123456000,"precision":6}', STRUCTURED),
    refused('`time.precision.mode=microseconds`', '47655123', MILLIS),
  ),
  value('time without time zone', '24:00:00', '86400000000', refused('`time.precision.mode=microseconds`', '"00:00:00Z"', ISO)),
  value('time(3) without time zone', '23:59:59.999', '86399999000', form('86399999', ADAPTIVE), form('86399999', MILLIS)),
  value(
    'time with time zone',
    '13:14:15.123456+02',
    refused('`time.precision.mode=structured`', '"11:14:15.123456Z"'),
    form('{"hour":13,"minute":14,"second":15,"nanos":123456000,"offsetSeconds":7200,"precision":6}', STRUCTURED),
  ),
  value('time with time zone', '00:00:00-15:59', form('{"hour":0,"minute":0,"second":0,"nanos":0,"offsetSeconds":-57540}', STRUCTURED)),
  value(
    'timestamp without time zone',
    '2026-03-29 02:30:00.123456',
    '1774751400123456',
    form('1774751400123456000', NANOS),
    form('1774751400123456000', {}, long('io.debezium.time.NanoTimestamp')),
    form('"2026-03-29T02:30:00.123456Z"', ISO),
    form(
      '{"year":2026,"month":3,"day":29,"hour":2,"minute":30,"second":0,"nanos":123456000,"specialValue":null,"precision":6}',
      STRUCTURED,
    ),
    refused('`time.precision.mode=microseconds`', '1774751400123', MILLIS),
    refused('`time.precision.mode=microseconds`', '1774751400123', {}, long('org.apache.kafka.connect.data.Timestamp')),
  ),
  value(
    'timestamp(3) without time zone',
    '1969-12-31 23:59:59.999',
    '-1000',
    form('-1', ADAPTIVE),
    form('-1', MILLIS),
    form('-1000000', NANOS),
  ),
  value('timestamp without time zone', '9999-12-31 23:59:59.999999', '253402300799999999'),
  value('timestamp without time zone', '1500-01-01 00:00:00.000001', '-14831769599999999'),
  value('timestamp without time zone', '0044-03-15 12:00:00 BC', '-63517780800000000', form('"-0043-03-15T12:00:00Z"', ISO)),
  value(
    'timestamp without time zone',
    'infinity',
    '9223372036854775807',
    form('9223372036854775807', NANOS),
    refused('`time.precision.mode=structured`', '"+292278994-08-16T23:00:00Z"', ISO),
  ),
  value('timestamp without time zone', '-infinity', '-9223372036854775808'),
  value('timestamp(3) without time zone', 'infinity', form('9223372036825200000', MILLIS), form('9223372036825200000', ADAPTIVE)),
  value('timestamp(3) without time zone', '-infinity', form('-9223372036832400000', MILLIS)),
  value('timestamp without time zone', '294276-12-31 23:59:59.999999', refused('`time.precision.mode=structured`', '-9223372036853775810')),
  value(
    'timestamp with time zone',
    '2026-03-29 00:30:00.12+00',
    '"2026-03-29T00:30:00.120Z"',
    '"2026-03-29T00:30:00.120000Z"',
    '"2026-03-29T02:30:00.12+02:00"',
    form(
      '{"year":2026,"month":3,"day":29,"hour":2,"minute":30,"second":0,"nanos":120000000,"offsetSeconds":7200,"zoneId":"+02:00"}',
      STRUCTURED,
    ),
  ),
  value('timestamp with time zone', '2000-01-01 00:00:00+00', '"2000-01-01T00:00:00.000000Z"', '"2000-01-01T00:00:00Z"'),
  value('timestamp with time zone', '0044-03-15 12:00:00+00 BC', '"-0043-03-15T12:00:00.000000Z"'),
  value('timestamp with time zone', '294276-12-31 23:59:59.999999+00', '"+294276-12-31T23:59:59.999999Z"'),
  value('timestamp with time zone', 'infinity', '"infinity"'),
  value(
    'interval',
    '1 year 2 mons 3 days 04:05:06.789',
    '"P1Y2M3DT4H5M6.789S"',
    form('{"years":1,"months":2,"days":3,"hours":4,"minutes":5,"seconds":6,"nanos":789000000,"precision":6}', STRUCTURED),
    refused('`interval.handling.mode=string`', '37091106789000', { intervals: 'numeric' }),
    refused('`interval.handling.mode=string`', '37091106789000', {}, long('io.debezium.time.MicroDuration')),
  ),
  value('interval', '-1 years -2 mons +3 days -04:05:06.789', '"P-1Y-2M3DT-4H-5M-6.789S"'),
  value('interval', '178000000 years', '"P178000000Y0M0DT0H0M0S"'),
  value('interval', '00:00:00', '"P0Y0M0DT0H0M0S"'),
  value('interval', '-00:00:00.000001', '"P0Y0M0DT0H0M-0.000001S"', '"P0Y0M0DT0H0M-1E-6S"'),
]

const COMPOSED: readonly GoldenValue[] = [
  value('integer[]', '{1,NULL,3}', '[1,null,3]', form('[1,null,3]', {}, { type: 'array', items: { type: 'int32' } })),
  value('text[]', '{a,NULL,"NULL","q\\"uo,te","{}","","b\\\\c"}', '["a",null,"NULL","q\\"uo,te","{}","","b\\\\c"]'),
  value('text[]', '{}', '[]'),
  value(
    'text[]',
    '{{a,b},{c,d}}',
    '[["a","b"],["c","d"]]',
    refused('`columns: { exclude', '["[Ljava.lang.String;@68486914","[Ljava.lang.String;@24f0b80b"]'),
  ),
  value(
    'numeric(10,2)[]',
    '{1.10,NULL,3.33}',
    '["1.10",null,"3.33"]',
    form('["bg==",null,"AU0="]', PRECISE),
    form('["bg==",null,"AU0="]', {}, { type: 'array', items: decimal(2) }),
    form('[1.1,null,3.33]', DOUBLE),
  ),
  value('date[]', '{2026-02-28,NULL}', '[20512,null]', form('["2026-02-28Z",null]', ISO)),
  value('timestamp with time zone[]', '{"2026-03-29 00:30:00.123456+00"}', '["2026-03-29T00:30:00.123456Z"]'),
  value('bytea[]', '{"\\\\x00ff",NULL}', '["AP8=",null]', form('["00ff",null]', HEX)),
  value('jsonb[]', '{"{\\"a\\": 1}",NULL}', '["{\\"a\\": 1}",null]'),
  value(
    'point',
    '(1.5,-2)',
    form('{"x":1.5,"y":-2.0,"wkb":"AQEAAAAAAAAAAAD4PwAAAAAAAADA","srid":null}', {}, struct('io.debezium.data.geometry.Point')),
  ),
  value(
    'box',
    '(1,1),(0,0)',
    '{"wkb":"AQMAAAABAAAABQAAAAAAAAAAAPA/AAAAAAAA8D8AAAAAAADwPwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA8D8AAAAAAADwPwAAAAAAAPA/","srid":null,"extensions":{"type":"box"}}',
  ),
]

export const GOLDEN_VALUES: readonly GoldenValue[] = [...PLAIN, ...NUMBERS, ...BYTES, ...TIMES, ...COMPOSED]

/** Of types that a plain PostgreSQL has not. */
export const FOREIGN_VALUES: readonly GoldenValue[] = [
  { ...value('mood', 'happy ☃', '"happy ☃"', form('"happy ☃"', {}, text('io.debezium.data.Enum'))), isEnum: true },
  value(
    'hstore',
    '"a"=>"1", "b"=>NULL, "aa"=>"q\\"\\\\"',
    '"{\\"aa\\":\\"q\\\\\\"\\\\\\\\\\",\\"b\\":null,\\"a\\":\\"1\\"}"',
    refused('`hstore.handling.mode=json`', '{"a":"1"}', { hstore: 'map' }),
  ),
  value('comp', '(7,"x y")', form('"KDcsInggeSIp"', { unknownTypes: true }), form('"28372c227820792229"', { unknownTypes: true, ...HEX })),
  value(
    'geometry',
    '0101000020E6100000000000000000F83F00000000000000C0',
    '{"wkb":"AQEAAAAAAAAAAAD4PwAAAAAAAADA","srid":4326}',
    '{"wkb":"AQEAACDmEAAAAAAAAAAA+D8AAAAAAAAAwA==","srid":4326}',
  ),
]
