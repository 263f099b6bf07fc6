// Avro's binary form → JSON as Kafka Connect's JsonConverter would have written it, so that one decoder reads both. Every digit survives:
// a whole number is never a JavaScript number unless it is small. https://avro.apache.org/docs/1.12.0/specification/#binary-encoding

import type { AvroSchema, AvroType } from './avro-schema.ts'
import { writeBase64 } from './debezium-bytes.ts'
import { badMessage } from './debezium-refusal.ts'
import { TextBuilder, utf8Bytes } from './debezium-text.ts'

const [HEAD, MIDDLE] = ['{"schema":', ',"payload":'].map(utf8Bytes) as [Uint8Array, Uint8Array]
const QUOTE = 0x22
const BACKSLASH = 0x5c
const HEX = '0123456789abcdef'

export class AvroTranslator {
  readonly #out = new TextBuilder()
  #bytes: Uint8Array = new Uint8Array(0)
  #view: DataView = new DataView(new ArrayBuffer(0))
  #at = 0

  /** The value from `from` to the end, with its schema: `{"schema":…,"payload":…}`. Throws `bad-message`. */
  translate({ type, connect }: AvroSchema, bytes: Uint8Array, from: number): Uint8Array {
    const out = this.#out
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#at = from
    out.clear()
    out.copy(HEAD, 0, HEAD.length)
    out.copy(connect, 0, connect.length)
    out.copy(MIDDLE, 0, MIDDLE.length)
    this.#value(type)
    out.byte(0x7d)
    if (this.#at !== bytes.length) throw notOfSchema()
    return out.bytes.slice(0, out.length)
  }

  #value(type: AvroType): void {
    const out = this.#out
    switch (type.kind) {
      case 'null':
        out.ascii('null')
        return
      case 'boolean': {
        const byte = this.#bytes[this.#take(1)] as number
        if (byte > 1) throw notOfSchema()
        out.ascii(byte === 1 ? 'true' : 'false')
        return
      }
      case 'int':
      case 'long':
        out.ascii(String(this.#long()))
        return
      case 'float':
        this.#float(this.#view.getFloat32(this.#take(4), true))
        return
      case 'double':
        this.#float(this.#view.getFloat64(this.#take(8), true))
        return
      case 'string':
        this.#string(this.#size())
        return
      case 'bytes':
        this.#base64(this.#size())
        return
      case 'fixed':
        this.#base64(type.size)
        return
      case 'enum':
        this.#whole(type.symbols[this.#index()])
        return
      case 'union': {
        const branch = type.branches[this.#index()]
        if (branch === undefined) throw notOfSchema()
        this.#value(branch)
        return
      }
      case 'record':
        this.#record(type)
        return
      case 'array':
      case 'map':
        this.#blocks(type)
    }
  }

  #record({ fields }: AvroType & { kind: 'record' }): void {
    const out = this.#out
    out.byte(0x7b)
    for (let index = 0; index < fields.length; index++) {
      const { name, type } = fields[index] as (typeof fields)[number]
      if (index > 0) out.byte(0x2c)
      out.copy(name, 0, name.length)
      this.#value(type)
    }
    out.byte(0x7d)
  }

  /** Blocks of items, each with their count; a negative one has the block's size behind it. The last is empty. */
  #blocks({ kind, items }: AvroType & { kind: 'array' | 'map' }): void {
    const out = this.#out
    out.byte(kind === 'map' ? 0x7b : 0x5b)
    let isFirst = true
    for (;;) {
      let count = Number(this.#long())
      if (count === 0) break
      if (count < 0) {
        this.#long()
        count = -count
      }
      // No item that Connect writes is of no bytes.
      if (count > this.#bytes.length - this.#at) throw notOfSchema()
      for (; count > 0; count--) {
        if (!isFirst) out.byte(0x2c)
        isFirst = false
        if (kind === 'map') {
          this.#string(this.#size())
          out.byte(0x3a)
        }
        this.#value(items)
      }
    }
    out.byte(kind === 'map' ? 0x7d : 0x5d)
  }

  #whole(text: Uint8Array | undefined): void {
    if (text === undefined) throw notOfSchema()
    this.#out.copy(text, 0, text.length)
  }

  /** Java prints what is no number as a text. */
  #float(value: number): void {
    const isNumber = Number.isFinite(value)
    this.#out.ascii(Object.is(value, -0) ? '-0.0' : isNumber ? String(value) : `"${value}"`)
  }

  #string(size: number): void {
    const from = this.#take(size)
    const out = this.#out
    const bytes = this.#bytes
    out.byte(QUOTE)
    let copied = from
    for (let at = from; at < from + size; at++) {
      const byte = bytes[at] as number
      if (byte >= 0x20 && byte !== QUOTE && byte !== BACKSLASH) continue
      out.copy(bytes, copied, at)
      copied = at + 1
      out.byte(BACKSLASH)
      if (byte >= 0x20) out.byte(byte)
      else out.ascii(`u00${HEX[byte >> 4]}${HEX[byte & 15]}`)
    }
    out.copy(bytes, copied, from + size)
    out.byte(QUOTE)
  }

  #base64(size: number): void {
    const from = this.#take(size)
    this.#out.byte(QUOTE)
    writeBase64(this.#bytes, from, from + size, this.#out)
    this.#out.byte(QUOTE)
  }

  #take(size: number): number {
    const from = this.#at
    if (size > this.#bytes.length - from) throw notOfSchema()
    this.#at = from + size
    return from
  }

  #size(): number {
    const size = this.#long()
    if (typeof size === 'bigint' || size < 0) throw notOfSchema()
    return size
  }

  #index(): number {
    return this.#size()
  }

  /** Seven bits a byte, the low ones first; the sign is the lowest of all. */
  #long(): number | bigint {
    let value = 0
    let scale = 1
    const first = this.#at
    for (let at = first; at < first + 7 && at < this.#bytes.length; at++, scale *= 128) {
      const byte = this.#bytes[at] as number
      value += (byte & 0x7f) * scale
      if (byte >= 0x80) continue
      this.#at = at + 1
      return value % 2 === 0 ? value / 2 : -(value + 1) / 2
    }
    return this.#longest()
  }

  #longest(): bigint {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#bytes[this.#take(1)] as number
      value |= BigInt(byte & 0x7f) << shift
      if (byte >= 0x80) continue
      if (value >> 64n !== 0n) throw notOfSchema()
      return (value >> 1n) ^ -(value & 1n)
    }
    throw notOfSchema()
  }
}

function notOfSchema(): Error {
  return badMessage(
    'is not what its Avro schema says',
    'See what writes to the topic, and whether the registry is the one that its connector uses.',
  )
}
