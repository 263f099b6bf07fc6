// JSON read in place: a value is found by where its bytes begin and end, and nothing is turned into a JavaScript number, so that every
// digit survives. The form is checked of all that is read or skipped.

import { badMessage } from './debezium-refusal.ts'
import { isUtf8, type TextBuilder, utf8Text } from './debezium-text.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c
export const OBJECT = 0x7b
export const ARRAY = 0x5b
export const STRING = QUOTE
const DEEPEST = 64

export class JsonReader {
  bytes: Uint8Array = new Uint8Array(0)
  at = 0
  end = 0
  /** Of the last string or number: where its bytes are, without quotes. */
  from = 0
  to = 0
  /** Of the last string: it has escapes; it has bytes beyond ASCII. */
  escaped = false
  wide = false

  open(bytes: Uint8Array, from = 0, to = bytes.length): void {
    this.bytes = bytes
    this.at = from
    this.end = to
  }

  /** The first byte of the next value: `{`, `[`, `"`, t, f, n, - or a digit. */
  peek(): number {
    while (this.at < this.end) {
      const byte = this.bytes[this.at] as number
      if (byte > 0x20) return byte
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break
      this.at++
    }
    throw garbled()
  }

  #expect(byte: number): void {
    if (this.peek() !== byte) throw garbled()
    this.at++
  }

  /** Nothing may follow. */
  close(): void {
    for (; this.at < this.end; this.at++) if ((this.bytes[this.at] as number) > 0x20) throw garbled()
  }

  /** False where it is empty. */
  beginObject(): boolean {
    this.#expect(OBJECT)
    if (this.peek() !== 0x7d) return true
    this.at++
    return false
  }

  /** Is there one more? The end is taken. */
  moreMembers(): boolean {
    const byte = this.peek()
    this.at++
    if (byte === 0x2c) return true
    if (byte !== 0x7d) throw garbled()
    return false
  }

  beginArray(): boolean {
    this.#expect(ARRAY)
    if (this.peek() !== 0x5d) return true
    this.at++
    return false
  }

  moreItems(): boolean {
    const byte = this.peek()
    this.at++
    if (byte === 0x2c) return true
    if (byte !== 0x5d) throw garbled()
    return false
  }

  /** A member's name, up to its value; `from` and `to` are its bytes. */
  name(): void {
    this.string()
    this.#expect(0x3a)
  }

  string(): void {
    if (this.peek() !== QUOTE) throw garbled()
    const { bytes, end } = this
    let escaped = false
    let high = 0
    let at = this.at + 1
    this.from = at
    for (; ; at++) {
      if (at >= end) throw garbled()
      const byte = bytes[at] as number
      if (byte === QUOTE) break
      if (byte === BACKSLASH) {
        escaped = true
        at = this.#escape(at + 1)
      } else if (byte < 0x20) throw garbled()
      high |= byte
    }
    this.to = at
    this.at = at + 1
    this.escaped = escaped
    this.wide = high >= 0x80
    if (this.wide && !isUtf8(bytes, this.from, at)) throw badMessage('has bytes that are no UTF-8')
  }

  /** Returns the place of the last byte of an escape, whose second is at `at`. */
  #escape(at: number): number {
    const kind = this.bytes[at] as number
    if (kind !== 0x75) {
      if (ESCAPES[kind] === undefined) throw garbled()
      return at
    }
    for (let digit = at + 1; digit <= at + 4; digit++) if (digit >= this.end || hexValue(this.bytes[digit] as number) < 0) throw garbled()
    return at + 4
  }

  number(): void {
    this.peek()
    const { bytes, end } = this
    this.from = this.at
    let at = this.at
    if (bytes[at] === 0x2d) at++
    const first = at
    at = this.#digits(at)
    if (bytes[first] === 0x30 && at > first + 1) throw garbled()
    if (at < end && bytes[at] === 0x2e) at = this.#digits(at + 1)
    if (at < end && ((bytes[at] as number) | 0x20) === 0x65) {
      at++
      if (at < end && (bytes[at] === 0x2b || bytes[at] === 0x2d)) at++
      at = this.#digits(at)
    }
    this.to = at
    this.at = at
  }

  #digits(from: number): number {
    const { bytes, end } = this
    let at = from
    while (at < end && (bytes[at] as number) >= 0x30 && (bytes[at] as number) <= 0x39) at++
    if (at === from) throw garbled()
    return at
  }

  boolean(): boolean {
    const isTrue = this.peek() === 0x74
    this.#word(isTrue ? 'true' : 'false')
    return isTrue
  }

  /** Takes a null; false where the next value is another one. */
  null(): boolean {
    if (this.peek() !== 0x6e) return false
    this.#word('null')
    return true
  }

  #word(word: string): void {
    if (this.at + word.length > this.end) throw garbled()
    for (let at = 0; at < word.length; at++) if (this.bytes[this.at + at] !== word.charCodeAt(at)) throw garbled()
    this.at += word.length
  }

  /** Passes over one value of any kind. */
  skip(depth = 0): void {
    if (depth > DEEPEST) throw badMessage('is nested too deeply')
    const first = this.peek()
    if (first === QUOTE) this.string()
    else if (first === OBJECT) {
      if (!this.beginObject()) return
      do {
        this.name()
        this.skip(depth + 1)
      } while (this.moreMembers())
    } else if (first === ARRAY) {
      if (!this.beginArray()) return
      do this.skip(depth + 1)
      while (this.moreItems())
    } else if (first === 0x74 || first === 0x66) this.boolean()
    else if (first === 0x6e) this.null()
    else this.number()
  }

  /** Passes over an object that is read later, and looks at nothing but where it ends. */
  leap(): void {
    const { bytes, end } = this
    let depth = 0
    for (let at = this.at; at < end; at++) {
      const byte = bytes[at] as number
      if (byte === QUOTE) {
        at++
        while (at < end && bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1
      } else if (byte === OBJECT) depth++
      else if (byte === 0x7d && --depth === 0) {
        this.at = at + 1
        return
      }
    }
    throw garbled()
  }

  /** Are the bytes of the last string or number exactly these? */
  is(expected: Uint8Array): boolean {
    const { bytes, from } = this
    const size = this.to - from
    if (size !== expected.length) return false
    for (let at = 0; at < size; at++) if (bytes[from + at] !== expected[at]) return false
    return true
  }

  /** The last string or number as a text. */
  text(out: TextBuilder): string {
    if (!this.escaped || this.bytes[this.from - 1] !== QUOTE) return utf8Text(this.bytes, this.from, this.to) ?? ''
    out.clear()
    this.unescape(out)
    return utf8Text(out.bytes, 0, out.length) ?? ''
  }

  /** Adds the last string without its escapes. */
  unescape(out: TextBuilder): void {
    const { bytes, to } = this
    let from = this.from
    for (let at = from; at < to; at++) {
      if (bytes[at] !== BACKSLASH) continue
      out.copy(bytes, from, at)
      at++
      const kind = bytes[at] as number
      if (kind === 0x75) {
        let code = this.#hex(at + 1)
        at += 4
        if (code >= 0xd800 && code < 0xdc00 && bytes[at + 1] === BACKSLASH && bytes[at + 2] === 0x75) {
          const low = this.#hex(at + 3)
          if (low < 0xdc00 || low >= 0xe000) throw garbled()
          code = 0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00)
          at += 6
        }
        if (code >= 0xd800 && code < 0xe000) throw garbled()
        out.character(code)
      } else {
        out.byte(ESCAPES[kind] as number)
      }
      from = at + 1
    }
    out.copy(bytes, from, to)
  }

  #hex(from: number): number {
    let code = 0
    for (let at = from; at < from + 4; at++) code = code * 16 + hexValue(this.bytes[at] as number)
    return code
  }
}

function hexValue(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const letter = byte | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1
}

const ESCAPES: Readonly<Record<number, number>> = {
  34: 0x22,
  92: 0x5c,
  47: 0x2f,
  98: 0x08,
  102: 0x0c,
  110: 0x0a,
  114: 0x0d,
  116: 0x09,
}

function garbled(): Error {
  return badMessage('is no JSON', 'See what else writes to the topic, and that the connector uses `JsonConverter` for keys and values.')
}
