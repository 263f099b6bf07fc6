// Bytes as messages have them: base64, in either alphabet, and hexadecimal digits.

import { badMessage } from './debezium-refusal.ts'
import type { TextBuilder } from './debezium-text.ts'

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const VALUES = base64Values()

function base64Values(): Int8Array {
  const values = new Int8Array(256).fill(-1)
  for (let at = 0; at < ALPHABET.length; at++) values[ALPHABET.charCodeAt(at)] = at
  values['-'.charCodeAt(0)] = 62
  values['_'.charCodeAt(0)] = 63
  return values
}

export function decodeBase64(bytes: Uint8Array, from: number, to: number, out: TextBuilder): void {
  let end = to
  while (end > from && to - end < 2 && bytes[end - 1] === 0x3d) end--
  let group = 0
  let have = 0
  for (let at = from; at < end; at++) {
    const value = VALUES[bytes[at] as number] as number
    if (value < 0) throw badMessage('has bytes that are no base64')
    group = (group << 6) | value
    have += 6
    if (have < 8) continue
    have -= 8
    out.byte((group >> have) & 0xff)
    group &= (1 << have) - 1
  }
  if (have === 6 || group !== 0) throw badMessage('has bytes that are no base64')
}

export function writeBase64(bytes: Uint8Array, from: number, to: number, out: TextBuilder): void {
  for (let at = from; at < to; at += 3) {
    const group =
      ((bytes[at] as number) << 16) | ((at + 1 < to ? (bytes[at + 1] as number) : 0) << 8) | (at + 2 < to ? (bytes[at + 2] as number) : 0)
    for (let digit = 0; digit < 4; digit++) out.byte(at + digit > to ? 0x3d : ALPHABET.charCodeAt((group >> (18 - 6 * digit)) & 63))
  }
}

export function decodeHex(bytes: Uint8Array, from: number, to: number, out: TextBuilder): void {
  if ((to - from) % 2 !== 0) throw badMessage('has bytes that are no hexadecimal digits')
  for (let at = from; at < to; at += 2) out.byte(hexDigit(bytes[at] as number) * 16 + hexDigit(bytes[at + 1] as number))
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const letter = byte | 0x20
  if (letter < 0x61 || letter > 0x66) throw badMessage('has bytes that are no hexadecimal digits')
  return letter - 0x57
}

const DIGITS = '0123456789abcdef'

/** PostgreSQL's text of a bytea (bytea_output hex), or in capitals without a prefix. */
export function writeHex(bytes: Uint8Array, length: number, prefix: string, out: TextBuilder): void {
  out.ascii(prefix)
  for (let at = 0; at < length; at++) {
    const byte = bytes[at] as number
    out.byte(DIGITS.charCodeAt(byte >> 4))
    out.byte(DIGITS.charCodeAt(byte & 15))
  }
}

/** A bit string from its bytes, of which the first has the last bits. */
export function writeBits(bytes: Uint8Array, count: number, length: number, out: TextBuilder): void {
  for (let bit = length; bit < count * 8; bit++)
    if ((((bytes[bit >> 3] as number) >> (bit & 7)) & 1) === 1) throw badMessage('has more bits than its column')
  for (let bit = length - 1; bit >= 0; bit--) out.byte(bit < count * 8 ? 0x30 | (((bytes[bit >> 3] as number) >> (bit & 7)) & 1) : 0x30)
}
