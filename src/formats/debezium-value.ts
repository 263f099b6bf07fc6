// One value of a message → PostgreSQL's text of it. Nothing is guessed: a value whose form does not fit what its column is said to have is
// an error, and one that the connector has falsified is refused with the setting that would have kept it.

import { decodeBase64, decodeHex, writeBits, writeHex } from './debezium-bytes.ts'
import { readBox, readGeometry, writeHstore } from './debezium-composite.ts'
import type { Encoding } from './debezium-encoding.ts'
import { writeIsoInterval, writeStructuredInterval } from './debezium-interval.ts'
import { ARRAY, type JsonReader, OBJECT, STRING } from './debezium-json.ts'
import {
  readUnscaled,
  writeDecimal,
  writeDoubleDecimal,
  writeDoubleMoney,
  writeFloat,
  writeMoney,
  writeScaled,
} from './debezium-numbers.ts'
import { badMessage, EXCLUDE, falsified } from './debezium-refusal.ts'
import { isUtf8, TextBuilder, utf8Text } from './debezium-text.ts'
import * as time from './debezium-time.ts'

export class ValueWriter {
  /** The text of the last value. */
  readonly out = new TextBuilder()
  readonly #scratch = new TextBuilder()
  readonly #decoded = new TextBuilder()
  readonly #item = new TextBuilder()

  /** The value at the reader, which is no null. */
  write(encoding: Encoding, reader: JsonReader, column: string): void {
    this.out.clear()
    this.#write(encoding, reader, this.out, column)
  }

  #write(encoding: Encoding, reader: JsonReader, out: TextBuilder, column: string): void {
    if (encoding.as === 'refused') throw falsified(column, encoding.why, encoding.hint)
    const first = reader.peek()
    if (first === STRING) {
      reader.string()
      this.#string(encoding, reader, out, column)
    } else if (first === OBJECT) this.#struct(encoding, reader, out, column)
    else if (first === ARRAY) {
      if (encoding.as !== 'array') throw misfit(column)
      this.#array(encoding.item, reader, out, column)
    } else if (first === 0x74 || first === 0x66) this.#boolean(encoding, reader.boolean(), out, column)
    else this.#number(encoding, reader, out, column)
  }

  #boolean(encoding: Encoding, value: boolean, out: TextBuilder, column: string): void {
    if (encoding.as === 'bit') out.byte(value ? 0x31 : 0x30)
    else if (encoding.as === 'boolean' || encoding.as === 'text') out.ascii(value ? 'true' : 'false')
    else throw misfit(column)
  }

  #number(encoding: Encoding, reader: JsonReader, out: TextBuilder, column: string): void {
    switch (encoding.as) {
      case 'days':
        time.writeDays(reader, out, column)
        return
      case 'time':
        time.writeTime(reader, encoding.unit, out)
        return
      case 'timestamp':
        time.writeTimestamp(reader, encoding.unit, out, column)
        return
    }
    reader.number()
    switch (encoding.as) {
      case 'number':
        for (let at = reader.from; at < reader.to; at++)
          if ((reader.bytes[at] as number) > 0x39 || reader.bytes[at] === 0x2e) throw misfit(column)
        out.copy(reader.bytes, reader.from, reader.to)
        return
      case 'text':
        out.copy(reader.bytes, reader.from, reader.to)
        return
      case 'float':
        writeFloat(this.#token(reader), encoding.bits, out)
        return
      case 'decimal-text':
      case 'decimal-bytes':
        // JsonConverter's `decimal.format=NUMERIC`.
        writeDecimal(this.#token(reader), out)
        return
      case 'decimal-double':
        writeDoubleDecimal(this.#token(reader), encoding.precision, encoding.scale, out, column)
        return
      case 'money-text':
      case 'money-bytes':
        writeMoney(this.#token(reader), out)
        return
      case 'money-double':
        writeDoubleMoney(this.#token(reader), out, column)
        return
    }
    throw misfit(column)
  }

  #token(reader: JsonReader): string {
    return reader.text(this.#scratch)
  }

  #string(encoding: Encoding, reader: JsonReader, out: TextBuilder, column: string): void {
    switch (encoding.as) {
      case 'text':
        reader.escaped ? reader.unescape(out) : out.copy(reader.bytes, reader.from, reader.to)
        return
      case 'zoned-range':
        checkZones(this.#token(reader), column)
        reader.escaped ? reader.unescape(out) : out.copy(reader.bytes, reader.from, reader.to)
        return
      case 'decimal-text':
        writeDecimal(this.#token(reader), out)
        return
      case 'decimal-double':
        writeDoubleDecimal(special(this.#token(reader), column), encoding.precision, encoding.scale, out, column)
        return
      case 'float':
        writeFloat(special(this.#token(reader), column), encoding.bits, out)
        return
      case 'money-text':
        writeMoney(this.#token(reader), out)
        return
      case 'iso-date':
        time.writeIsoDate(this.#token(reader), out, column)
        return
      case 'iso-time':
        time.writeIsoTime(this.#token(reader), out, column)
        return
      case 'iso-timestamp':
        time.writeIsoTimestamp(this.#token(reader), false, out, column)
        return
      case 'zoned-timestamp':
        writeZoned(reader, out) ? undefined : time.writeIsoTimestamp(this.#token(reader), true, out, column)
        return
      case 'iso-interval':
        writeIsoInterval(this.#token(reader), out)
        return
      case 'hstore':
        writeHstore(this.#token(reader), out, column)
        return
      case 'array':
        throw isJavaObject(this.#token(reader)) ? nested(column) : misfit(column)
    }
    this.#binary(encoding, reader, out, column)
  }

  #binary(encoding: Encoding, reader: JsonReader, out: TextBuilder, column: string): void {
    const decoded = this.#decoded
    switch (encoding.as) {
      case 'base64':
      case 'hex': {
        this.#decode(encoding.as, reader)
        if (encoding.meaning === 'bytea') {
          writeHex(decoded.bytes, decoded.length, '\\x', out)
          return
        }
        if (!isUtf8(decoded.bytes, 0, decoded.length)) throw misfit(column)
        out.copy(decoded.bytes, 0, decoded.length)
        return
      }
      case 'decimal-bytes':
        this.#decode('base64', reader)
        writeScaled(readUnscaled(decoded.bytes, 0, decoded.length), encoding.scale, out)
        return
      case 'money-bytes': {
        this.#decode('base64', reader)
        this.#scratch.clear()
        writeScaled(readUnscaled(decoded.bytes, 0, decoded.length), encoding.scale, this.#scratch)
        writeMoney(utf8Text(this.#scratch.bytes, 0, this.#scratch.length) ?? '', out)
        return
      }
      case 'bits':
        this.#decode('base64', reader)
        writeBits(decoded.bytes, decoded.length, encoding.length, out)
        return
    }
    throw misfit(column)
  }

  /** The last string's bytes. */
  #decode(as: 'base64' | 'hex', reader: JsonReader): void {
    if (reader.escaped) throw badMessage('has bytes with escapes')
    this.#decoded.clear()
    if (as === 'hex') decodeHex(reader.bytes, reader.from, reader.to, this.#decoded)
    else decodeBase64(reader.bytes, reader.from, reader.to, this.#decoded)
  }

  #struct(encoding: Encoding, reader: JsonReader, out: TextBuilder, column: string): void {
    const fields = this.#fields(reader)
    switch (encoding.as) {
      case 'structured-date':
      case 'structured-time':
      case 'structured-zoned-time':
      case 'structured-timestamp':
      case 'structured-zoned-timestamp':
        time.writeStructured({ numbers: integers(fields), special: fields['specialValue'] ?? null }, encoding.as, out, column)
        return
      case 'structured-interval':
        writeStructuredInterval(integers(fields), out)
        return
      case 'variable-decimal': {
        const { scale, value } = fields
        if (scale === undefined || value === undefined || !/^-?\d{1,5}$/.test(scale)) throw misfit(column)
        this.#fieldBytes(value)
        writeScaled(readUnscaled(this.#decoded.bytes, 0, this.#decoded.length), Number(scale), out)
        return
      }
      case 'point': {
        const { x, y } = fields
        if (x === undefined || y === undefined) throw misfit(column)
        out.byte(0x28)
        writeFloat(x, 64, out)
        out.byte(0x2c)
        writeFloat(y, 64, out)
        out.byte(0x29)
        return
      }
      case 'box':
      case 'geometry':
        this.#fieldBytes(fields['wkb'] ?? '')
        if (encoding.as === 'box') {
          readBox(this.#decoded, out, column)
          return
        }
        readGeometry(this.#decoded, fields['srid'], out, column)
        return
    }
    throw misfit(column)
  }

  #fieldBytes(text: string): void {
    this.#decoded.clear()
    const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0) & 0xff)
    decodeBase64(bytes, 0, bytes.length, this.#decoded)
  }

  /** Members that are texts and numbers, as text; what is null or deeper is left out. */
  #fields(reader: JsonReader): Readonly<Record<string, string | undefined>> {
    const fields: Record<string, string> = Object.create(null)
    if (!reader.beginObject()) return fields
    do {
      reader.name()
      const name = this.#token(reader)
      const first = reader.peek()
      if (first === STRING) reader.string()
      else if (first === 0x2d || (first >= 0x30 && first <= 0x39)) reader.number()
      else {
        reader.skip()
        continue
      }
      fields[name] = this.#token(reader)
    } while (reader.moreMembers())
    return fields
  }

  #array(item: Encoding, reader: JsonReader, out: TextBuilder, column: string): void {
    if (item.as === 'box') throw falsified(column, 'arrays of boxes are not known', EXCLUDE)
    out.byte(0x7b)
    if (reader.beginArray()) {
      let isFirst = true
      do {
        if (!isFirst) out.byte(0x2c)
        isFirst = false
        if (reader.null()) out.ascii('NULL')
        else if (reader.peek() === ARRAY) this.#array(item, reader, out, column)
        else this.#arrayItem(item, reader, out, column)
      } while (reader.moreItems())
    }
    out.byte(0x7d)
  }

  #arrayItem(item: Encoding, reader: JsonReader, out: TextBuilder, column: string): void {
    if (reader.peek() === STRING) {
      const { at } = reader
      reader.string()
      if (reader.bytes[reader.from] === 0x5b && isJavaObject(this.#token(reader))) throw nested(column)
      reader.at = at
    }
    this.#item.clear()
    this.#write(item, reader, this.#item, column)
    quoteItem(this.#item, out)
  }
}

/** What Java prints of an array inside of an array. */
function isJavaObject(text: string): boolean {
  return /^\[+(?:L[\w.$]+;|[A-Z])@[0-9a-f]+$/.test(text)
}

function nested(column: string): Error {
  return falsified(column, 'the connector does not send arrays of several dimensions', EXCLUDE)
}

function misfit(column: string): Error {
  return badMessage(
    `has a value in column "${column}" whose form does not fit its type`,
    "Compare the connector's settings (`decimal.handling.mode`, `time.precision.mode`, `binary.handling.mode`, …) with those that are said here.",
  )
}

/** As a string only what is no number may stand where a number should. */
function special(text: string, column: string): string {
  if (/\d/.test(text)) throw misfit(column)
  return text
}

function integers(fields: Readonly<Record<string, string | undefined>>): Record<string, number | undefined> {
  const numbers: Record<string, number | undefined> = Object.create(null)
  for (const [name, text] of Object.entries(fields)) if (text !== undefined && /^-?\d{1,15}$/.test(text)) numbers[name] = Number(text)
  return numbers
}

/** The usual form, `2026-03-29T00:30:00.123456Z`, without taking it apart; false for any other. */
function writeZoned(reader: JsonReader, out: TextBuilder): boolean {
  const { bytes, from, to } = reader
  if (to - from < 20 || to - from > 27 || bytes[to - 1] !== 0x5a || bytes[from + 10] !== 0x54 || reader.escaped) return false
  if (bytes[from + 4] !== 0x2d || bytes[from + 7] !== 0x2d || bytes[from + 13] !== 0x3a || bytes[from + 16] !== 0x3a) return false
  if (to - from > 20 && bytes[from + 19] !== 0x2e) return false
  let digits = 0
  for (let at = from; at < to; at++) if ((bytes[at] as number) >= 0x30 && (bytes[at] as number) <= 0x39) digits++
  // Four signs, the T, the Z, and the point where there is one.
  if (digits !== to - from - (to - from > 20 ? 7 : 6) || (bytes[from] === 0x30 && bytes[from + 1] === 0x30)) return false
  let end = to - 1
  if (to - from > 20) {
    while (bytes[end - 1] === 0x30) end--
    if (bytes[end - 1] === 0x2e) end--
  }
  out.copy(bytes, from, from + 10)
  out.byte(0x20)
  out.copy(bytes, from + 11, end)
  out.ascii('+00')
  return true
}

/** Ranges of timestamps stand in the time zone of the connector's session. */
function checkZones(text: string, column: string): void {
  for (const [, zone] of text.matchAll(/:\d\d(?:\.\d+)?([+-][\d:]+)/g))
    if (zone !== '+00')
      throw falsified(
        column,
        "the connector sends ranges in its session's time zone",
        "Set `ALTER ROLE … SET timezone = 'UTC'` for the connector's user, restart the connector, and copy the table again.",
      )
}

/** In quotes where PostgreSQL would not read it as it is. */
function quoteItem(item: TextBuilder, out: TextBuilder): void {
  const { bytes, length } = item
  let quoted = length === 0 || (length === 4 && utf8Text(bytes, 0, 4)?.toUpperCase() === 'NULL')
  for (let at = 0; at < length && !quoted; at++) {
    const byte = bytes[at] as number
    quoted = byte === 0x22 || byte === 0x5c || byte === 0x7b || byte === 0x7d || byte === 0x2c || byte === 0x20 || (byte >= 9 && byte <= 13)
  }
  if (!quoted) {
    out.copy(bytes, 0, length)
    return
  }
  out.byte(0x22)
  for (let at = 0; at < length; at++) {
    const byte = bytes[at] as number
    if (byte === 0x22 || byte === 0x5c) out.byte(0x5c)
    out.byte(byte)
  }
  out.byte(0x22)
}
