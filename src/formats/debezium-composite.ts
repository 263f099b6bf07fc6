// Values made of several: hstore, which is sent as a text of JSON, and shapes, which are sent as well-known binary (WKB).

import { writeHex } from './debezium-bytes.ts'
import { JsonReader } from './debezium-json.ts'
import { writeFloat } from './debezium-numbers.ts'
import { badMessage } from './debezium-refusal.ts'
import { TextBuilder, utf8Bytes } from './debezium-text.ts'

/** `"a"=>"1", "b"=>NULL`, in hstore's own order: short keys first, then by their bytes. */
export function writeHstore(json: string, out: TextBuilder, column: string): void {
  const entries: { readonly key: Uint8Array; readonly value: Uint8Array | null }[] = []
  const reader = new JsonReader()
  const scratch = new TextBuilder()
  reader.open(utf8Bytes(json))
  if (reader.beginObject()) {
    do {
      reader.name()
      const key = utf8Bytes(reader.text(scratch))
      if (reader.null()) entries.push({ key, value: null })
      else if (reader.peek() !== 0x22) throw badMessage(`has an hstore in column "${column}" that is none`)
      else {
        reader.string()
        entries.push({ key, value: utf8Bytes(reader.text(scratch)) })
      }
    } while (reader.moreMembers())
  }
  reader.close()
  entries.sort((a, b) => a.key.length - b.key.length || compareBytes(a.key, b.key))
  for (const [index, { key, value }] of entries.entries()) {
    if (index > 0) out.ascii(', ')
    writeQuoted(key, out)
    out.ascii('=>')
    if (value === null) out.ascii('NULL')
    else writeQuoted(value, out)
  }
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return (a[at] as number) - (b[at] as number)
  return 0
}

function writeQuoted(bytes: Uint8Array, out: TextBuilder): void {
  out.byte(0x22)
  for (const byte of bytes) {
    if (byte === 0x22 || byte === 0x5c) out.byte(0x5c)
    out.byte(byte)
  }
  out.byte(0x22)
}

/** A box is sent as the closed ring of its corners. */
export function readBox({ bytes, length }: TextBuilder, out: TextBuilder, column: string): void {
  const view = new DataView(bytes.buffer, 0, length)
  if (
    length !== 93 ||
    view.getUint8(0) !== 1 ||
    view.getUint32(1, true) !== 3 ||
    view.getUint32(5, true) !== 1 ||
    view.getUint32(9, true) !== 5
  )
    throw badMessage(`has a box in column "${column}" that is none`)
  const xs: number[] = []
  const ys: number[] = []
  for (let at = 13; at < length; at += 16) {
    xs.push(view.getFloat64(at, true))
    ys.push(view.getFloat64(at + 8, true))
  }
  const corner = (x: number, y: number): void => {
    out.byte(0x28)
    writeFloat(String(x), 64, out)
    out.byte(0x2c)
    writeFloat(String(y), 64, out)
    out.byte(0x29)
  }
  corner(Math.max(...xs), Math.max(...ys))
  out.byte(0x2c)
  corner(Math.min(...xs), Math.min(...ys))
}

/** PostGIS prints its own extended form of WKB, which has the spatial reference in it. */
export function readGeometry({ bytes, length }: TextBuilder, srid: string | undefined, out: TextBuilder, column: string): void {
  if (length < 5 || (bytes[0] as number) > 1 || (srid !== undefined && !/^\d{1,9}$/.test(srid)))
    throw badMessage(`has a geometry in column "${column}" that is none`)
  const little = bytes[0] === 1
  const view = new DataView(bytes.buffer, 0, length)
  const type = view.getUint32(1, little)
  const has = (type & 0x2000_0000) !== 0
  const number = Number(srid ?? 0)
  const start = out.length
  if (has || number === 0) writeHex(bytes, length, '', out)
  else {
    const extended = new Uint8Array(length + 4)
    extended.set(bytes.subarray(0, 5))
    extended.set(bytes.subarray(5, length), 9)
    const head = new DataView(extended.buffer)
    head.setUint32(1, (type | 0x2000_0000) >>> 0, little)
    head.setUint32(5, number, little)
    writeHex(extended, length + 4, '', out)
  }
  for (let at = start; at < out.length; at++) if ((out.bytes[at] as number) >= 0x61) out.bytes[at] = (out.bytes[at] as number) - 0x20
}
