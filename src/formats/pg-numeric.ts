// PostgreSQL's numeric in binary (digits of base 10000, a weight, a sign) ↔ an integer scaled by a column's scale, of two or
// four 32-bit words. Exact or refused: a digit beyond the scale, NaN, an infinity or too many digits are never rounded away.
// Values below 10^15 go through doubles, which are exact there; BigInt takes 20 times as long and more.

import type { TupleIndex } from './pg-copy-index.ts'
import { type Place, refused, wrongWidth } from './pg-copy-values.ts'

const POWERS = Array.from({ length: 23 }, (_, exponent) => 10 ** exponent)

/** `words` is 2 up to 18 digits, 4 up to 38. */
export function readDecimals(
  bytes: Uint8Array,
  index: TupleIndex,
  column: number,
  out: Int32Array,
  words: 2 | 4,
  type: { readonly precision: number; readonly scale: number },
  place: Place,
): void {
  const { positions, lengths, rows } = index
  const from = column * index.capacity
  const { scale, precision } = type
  const limit = precision <= 15 ? (POWERS[precision] as number) : Number.POSITIVE_INFINITY
  for (let row = 0, at = 0; row < rows; row++, at += words) {
    const length = lengths[from + row] as number
    if (length === -1) {
      out.fill(0, at, at + words)
      continue
    }
    const p = positions[from + row] as number
    const digits = length < 8 ? -1 : short(bytes, p)
    if (length !== 8 + 2 * digits) throw wrongWidth(place, length, 8 + 2 * Math.max(digits, 0))
    const weight = (short(bytes, p + 2) << 16) >> 16
    const sign = short(bytes, p + 4)
    if (sign !== 0 && sign !== 0x4000) throw refused(place, row, 'a numeric is NaN or infinite')
    if ((Math.max(weight, -1) + 1) * 4 + scale > 15) {
      const scaled = wide(bytes, p, digits, weight, type)
      if (scaled === null) throw refused(place, row, `a numeric does not fit decimal(${precision},${scale})`)
      writeWords(out, at, words, sign === 0 ? scaled : -scaled)
      continue
    }
    let value = 0
    let exact = true
    let exponent = weight * 4 + scale
    for (let i = 0, d = p + 8; i < digits; i++, d += 2, exponent -= 4) {
      const digit = short(bytes, d)
      if (exponent >= 0) value += digit * (POWERS[exponent] as number)
      else if (exponent > -4 && digit % (POWERS[-exponent] as number) === 0) value += digit / (POWERS[-exponent] as number)
      else if (digit !== 0) exact = false
    }
    if (value >= limit || !exact) throw refused(place, row, `a numeric does not fit decimal(${precision},${scale})`)
    if (sign !== 0) value = -value
    const high = Math.floor(value / 4_294_967_296)
    out[at] = value | 0
    out[at + 1] = high
    if (words === 4) {
      out[at + 2] = high < 0 ? -1 : 0
      out[at + 3] = high < 0 ? -1 : 0
    }
  }
}

function wide(
  bytes: Uint8Array,
  p: number,
  digits: number,
  weight: number,
  { precision, scale }: { readonly precision: number; readonly scale: number },
): bigint | null {
  // More digits than any column that can be loaded has: not worth a number of that size.
  if (digits > 64 || weight > 64) return null
  let value = 0n
  for (let i = 0; i < digits; i++) value = value * 10_000n + BigInt(short(bytes, p + 8 + 2 * i))
  const exponent = (weight - digits + 1) * 4 + scale
  if (exponent >= 0) value *= 10n ** BigInt(exponent)
  else {
    const divisor = 10n ** BigInt(-exponent)
    if (value % divisor !== 0n) return null
    value /= divisor
  }
  return value < 10n ** BigInt(precision) ? value : null
}

function writeWords(out: Int32Array, at: number, words: 2 | 4, value: bigint): void {
  for (let i = 0; i < words; i++) out[at + i] = Number((value >> BigInt(32 * i)) & 0xffffffffn) | 0
}

function short(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
}

/** A scaled integer as digits of base 10000, most significant first, without zeros at either end, and its weight. */
export function numericDigits(scaled: bigint, scale: number): { digits: number[]; weight: number } {
  // A group holds four decimal digits, so the scale is rounded up to whole groups.
  const groups = Math.ceil(Math.max(scale, 0) / 4)
  let rest = (scaled < 0n ? -scaled : scaled) * 10n ** BigInt(groups * 4 - scale)
  const digits: number[] = []
  while (rest > 0n) {
    digits.unshift(Number(rest % 10_000n))
    rest /= 10_000n
  }
  const weight = digits.length - 1 - groups
  while (digits.at(-1) === 0) digits.pop()
  return { digits, weight: digits.length === 0 ? 0 : weight }
}
