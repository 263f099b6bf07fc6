// Text under construction, as bytes. One is used for many values, so nothing is allocated for each.

export class TextBuilder {
  bytes = new Uint8Array(4096)
  length = 0

  clear(): void {
    this.length = 0
  }

  byte(value: number): void {
    if (this.length === this.bytes.length) this.#grow(1)
    this.bytes[this.length++] = value
  }

  ascii(text: string): void {
    if (this.length + text.length > this.bytes.length) this.#grow(text.length)
    for (let at = 0; at < text.length; at++) this.bytes[this.length++] = text.charCodeAt(at)
  }

  copy(source: Uint8Array, from: number, to: number): void {
    if (this.length + to - from > this.bytes.length) this.#grow(to - from)
    this.bytes.set(source.subarray(from, to), this.length)
    this.length += to - from
  }

  /** A whole number from 0 upwards, with zeros before it up to `width`. */
  padded(value: number, width: number): void {
    this.ascii(String(value).padStart(width, '0'))
  }

  /** One character, by its number in Unicode. */
  character(code: number): void {
    if (code < 0x80) this.byte(code)
    else if (code < 0x800) this.#multi(code, 0xc0, 1)
    else if (code < 0x1_0000) this.#multi(code, 0xe0, 2)
    else this.#multi(code, 0xf0, 3)
  }

  #multi(code: number, mark: number, rest: number): void {
    this.byte(mark | (code >> (6 * rest)))
    for (let left = rest - 1; left >= 0; left--) this.byte(0x80 | ((code >> (6 * left)) & 0x3f))
  }

  #grow(more: number): void {
    const bytes = new Uint8Array(Math.max(this.bytes.length * 2, this.length + more))
    bytes.set(this.bytes.subarray(0, this.length))
    this.bytes = bytes
  }
}

/** Without TextEncoder, which is no part of the language. */
export function utf8Bytes(text: string): Uint8Array {
  const out = new TextBuilder()
  for (const character of text) out.character(character.codePointAt(0) as number)
  return out.bytes.slice(0, out.length)
}

/** Of bytes that are UTF-8; null where they are not. */
export function utf8Text(bytes: Uint8Array, from: number, to: number): string | null {
  let text = ''
  let plain = true
  for (let at = from; at < to && plain; at++) plain = (bytes[at] as number) < 0x80
  if (plain) {
    for (let at = from; at < to; at++) text += String.fromCharCode(bytes[at] as number)
    return text
  }
  for (let at = from; at < to; at++) text += `%${(bytes[at] as number).toString(16).padStart(2, '0')}`
  try {
    return decodeURIComponent(text)
  } catch {
    return null
  }
}

export function isUtf8(bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; ) {
    const first = bytes[at] as number
    if (first < 0x80) {
      at++
      continue
    }
    const rest = first >= 0xc2 && first < 0xe0 ? 1 : first >= 0xe0 && first < 0xf0 ? 2 : first >= 0xf0 && first < 0xf5 ? 3 : 0
    if (rest === 0 || at + rest >= to) return false
    for (let left = 1; left <= rest; left++) if (((bytes[at + left] as number) & 0xc0) !== 0x80) return false
    const second = bytes[at + 1] as number
    if (first === 0xe0 && second < 0xa0) return false
    if (first === 0xed && second > 0x9f) return false
    if (first === 0xf0 && second < 0x90) return false
    if (first === 0xf4 && second > 0x8f) return false
    at += rest + 1
  }
  return true
}
