// Decimals and floating-point numbers as messages have them → PostgreSQL's text of them (extra_float_digits 3).

import { badMessage, falsified } from './debezium-refusal.ts'
import type { TextBuilder } from './debezium-text.ts'

const STRING_DECIMALS = 'Set `decimal.handling.mode=string` for the connector, and copy the table again.'

/** Names that Debezium and Java have for what is no number. */
const SPECIAL: Readonly<Record<string, string>> = {
  NAN: 'NaN',
  NaN: 'NaN',
  POSITIVE_INFINITY: 'Infinity',
  NEGATIVE_INFINITY: '-Infinity',
  Infinity: 'Infinity',
  '-Infinity': '-Infinity',
}

/** A decimal in digits, with all zeros that it has behind the point. */
export function writeDecimal(text: string, out: TextBuilder): void {
  const special = SPECIAL[text]
  if (special !== undefined) {
    out.ascii(special)
    return
  }
  const match = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d{1,6}))?$/.exec(text)
  if (match === null) throw badMessage('has a decimal that is none')
  const [, sign = '', whole = '', fraction = '', exponent] = match
  if (exponent === undefined) {
    out.ascii(text)
    return
  }
  const scale = fraction.length - Number(exponent)
  if (Math.abs(scale) > 20_000) throw badMessage('has a decimal that PostgreSQL has not')
  writeUnscaled(`${whole}${fraction}`.replace(/^0+(?=\d)/, ''), sign === '-', scale, out)
}

/** Digits of a whole number, divided by ten as often as `scale` says. */
function writeUnscaled(digits: string, isNegative: boolean, scale: number, out: TextBuilder): void {
  if (isNegative && /[1-9]/.test(digits)) out.byte(0x2d)
  if (scale <= 0) {
    out.ascii(digits === '0' ? '0' : digits + '0'.repeat(-scale))
    return
  }
  const padded = digits.padStart(scale + 1, '0')
  out.ascii(padded.slice(0, -scale))
  out.byte(0x2e)
  out.ascii(padded.slice(-scale))
}

/** Big-endian two's complement. */
export function readUnscaled(bytes: Uint8Array, from: number, to: number): bigint {
  if (from === to) throw badMessage('has a decimal without digits')
  if (to - from <= 6) {
    let value = ((bytes[from] as number) << 24) >> 24
    for (let at = from + 1; at < to; at++) value = value * 256 + (bytes[at] as number)
    return BigInt(value)
  }
  let hex = '0x'
  for (let at = from; at < to; at++) hex += (bytes[at] as number).toString(16).padStart(2, '0')
  return BigInt.asIntN((to - from) * 8, BigInt(hex))
}

export function writeScaled(unscaled: bigint, scale: number, out: TextBuilder): void {
  writeUnscaled((unscaled < 0n ? -unscaled : unscaled).toString(), unscaled < 0n, scale, out)
}

/** A decimal that was sent as a double. */
export function writeDoubleDecimal(text: string, precision: number, scale: number, out: TextBuilder, column: string): void {
  const special = SPECIAL[text]
  if (special !== undefined) {
    out.ascii(special)
    return
  }
  if (precision > 15)
    throw falsified(column, 'the connector sends decimals as floating-point numbers, which cuts digits off', STRING_DECIMALS)
  out.ascii(finite(text).toFixed(Math.max(scale, 0)))
}

function finite(text: string): number {
  const value = Number(text)
  if (text === '' || !Number.isFinite(value)) throw badMessage('has a number that is none')
  return value
}

export function writeFloat(text: string, bits: 32 | 64, out: TextBuilder): void {
  const special = SPECIAL[text]
  if (special !== undefined) {
    out.ascii(special)
    return
  }
  const value = bits === 32 ? Math.fround(finite(text)) : finite(text)
  if (value === 0) {
    out.ascii(Object.is(value, -0) ? '-0' : '0')
    return
  }
  const [mantissa = '', exponent = ''] = shortest(Math.abs(value), bits).split('e')
  writePlacedDigits(mantissa.replace('.', ''), Number(exponent), value < 0, bits === 32 ? 6 : 15, out)
}

/**
 * The fewest digits that mean this number. PostgreSQL prints none that lie halfway to the next number, though they would be read as this
 * one: 1e23 is 9.999999999999999e+22 there.
 */
function shortest(value: number, bits: 32 | 64): string {
  const halfway = bits === 32 ? isHalfwayInFloats : isHalfwayInDoubles
  const text = value.toExponential()
  if (bits === 64 && !halfway(text, value)) return text
  for (let digits = bits === 32 ? 0 : text.indexOf('e') - 1; digits < 17; digits++) {
    const longer = rounded(value, digits)
    const read = bits === 32 ? Math.fround(Number(longer)) : Number(longer)
    if (read === value && !halfway(longer, value)) return longer.replace(/\.?0+e/, 'e')
  }
  return text
}

/** `toExponential`, but a five with nothing behind it is rounded to the even digit. */
function rounded(value: number, digits: number): string {
  const up = value.toExponential(digits)
  const exact = value.toExponential(60)
  const at = digits === 0 ? 1 : digits + 2
  const rest = exact.slice(at, exact.indexOf('e')).replace('.', '')
  if (!/^50*$/.test(rest) || Number(exact.charAt(at - 1)) % 2 !== 0) return up
  return exact.slice(0, at) + exact.slice(exact.indexOf('e'))
}

/** Twice as far from the number is the next one, exactly. */
function isHalfwayInFloats(text: string, value: number): boolean {
  const twice = value + 2 * (Number(text) - value)
  return twice !== value && Math.fround(twice) === twice
}

/** Where doubles are further apart than whole numbers; below, what lies halfway has more digits than it takes. */
function isHalfwayInDoubles(text: string, value: number): boolean {
  if (value < 2 ** 54) return false
  const [mantissa = '', exponent = ''] = text.split('e')
  const [whole = '', fraction = ''] = mantissa.split('.')
  const zeros = Number(exponent) - fraction.length
  if (zeros < 0) return false
  const twice = 2n * BigInt(whole + fraction) * 10n ** BigInt(zeros) - BigInt(value)
  return twice !== BigInt(value) && BigInt(Number(twice)) === twice
}

/** With an exponent from `limit` digits on, and below four zeros behind the point. */
function writePlacedDigits(digits: string, exponent: number, isNegative: boolean, limit: number, out: TextBuilder): void {
  if (isNegative) out.byte(0x2d)
  if (exponent < -4 || exponent >= limit) {
    out.ascii(digits.slice(0, 1))
    if (digits.length > 1) out.ascii(`.${digits.slice(1)}`)
    out.ascii(`e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`)
  } else if (exponent < 0) out.ascii(`0.${'0'.repeat(-exponent - 1)}${digits}`)
  else if (digits.length <= exponent + 1) out.ascii(digits.padEnd(exponent + 1, '0'))
  else out.ascii(`${digits.slice(0, exponent + 1)}.${digits.slice(exponent + 1)}`)
}

/** As `lc_monetary` C and en_US print it. The text has two digits behind the point. */
export function writeMoney(text: string, out: TextBuilder): void {
  const match = /^(-?)(\d+)(?:\.(\d{1,2}))?$/.exec(text)
  if (match === null) throw badMessage('has an amount of money that is none')
  const [, sign = '', whole = '', cents = ''] = match
  out.ascii(`${sign}$${whole.replace(/\B(?=(\d{3})+$)/g, ',')}.${cents.padEnd(2, '0')}`)
}

/** Sixteen digits are more than a double tells apart. */
export function writeDoubleMoney(text: string, out: TextBuilder, column: string): void {
  const value = finite(text)
  if (Math.abs(value) >= 1e13)
    throw falsified(column, 'the connector sends money as a floating-point number, which cuts digits off', STRING_DECIMALS)
  writeMoney(value.toFixed(2), out)
}
