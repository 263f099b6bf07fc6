// Intervals as messages have them → PostgreSQL's text of them (IntervalStyle postgres): months, days and time each with their own sign.

import { badMessage } from './debezium-refusal.ts'
import type { TextBuilder } from './debezium-text.ts'
import { writeFraction } from './debezium-time.ts'

interface Interval {
  readonly months: number
  readonly days: number
  readonly seconds: bigint
  /** Of the sign of `seconds`, or of its own where those are none. */
  readonly micros: number
}

/** `P1Y2M3DT4H5M6.789S`, each number with its sign. */
export function writeIsoInterval(text: string, out: TextBuilder): void {
  const match = /^P(?:(-?\d+)Y)?(?:(-?\d+)M)?(?:(-?\d+)D)?(?:T(?:(-?\d+)H)?(?:(-?\d+)M)?(?:(-?)(\d+)(?:\.(\d+))?(?:E(-?\d+))?S)?)?$/.exec(
    text,
  )
  if (match === null) throw badMessage('has an interval that is none')
  const number = (at: number): number => Number(match[at] ?? 0)
  const micros = microsOf(match[7] ?? '0', match[8] ?? '', number(9)) * (match[6] === '-' ? -1n : 1n)
  const total = (BigInt(number(4)) * 3600n + BigInt(number(5)) * 60n) * 1_000_000n + micros
  writeInterval({ months: number(1) * 12 + number(2), days: number(3), ...halves(total) }, out)
}

function microsOf(whole: string, fraction: string, exponent: number): bigint {
  if (Math.abs(exponent) > 20) throw badMessage('has an interval that is none')
  const digits = whole + fraction
  const shift = exponent - fraction.length + 6
  if (shift >= 0) return BigInt(digits) * 10n ** BigInt(shift)
  const divisor = 10n ** BigInt(-shift)
  if (BigInt(digits) % divisor !== 0n) throw badMessage('has nanoseconds, which PostgreSQL has not')
  return BigInt(digits) / divisor
}

function halves(micros: bigint): { seconds: bigint; micros: number } {
  return { seconds: micros / 1_000_000n, micros: Number(micros % 1_000_000n) }
}

export function writeStructuredInterval(numbers: Readonly<Record<string, number | undefined>>, out: TextBuilder): void {
  const { years = 0, months = 0, days = 0, hours = 0, minutes = 0, seconds = 0, nanos = 0 } = numbers
  if (nanos % 1000 !== 0) throw badMessage('has nanoseconds, which PostgreSQL has not')
  const total = (BigInt(hours) * 3600n + BigInt(minutes) * 60n + BigInt(seconds)) * 1_000_000n + BigInt(nanos / 1000)
  writeInterval({ months: years * 12 + months, days, ...halves(total) }, out)
}

function writeInterval({ months, days, seconds, micros }: Interval, out: TextBuilder): void {
  const years = Math.trunc(months / 12)
  let before: 'nothing' | 'positive' | 'negative' = 'nothing'
  const part = (value: number, unit: string): void => {
    if (value === 0) return
    if (before !== 'nothing') out.byte(0x20)
    // A plus is only said after a minus.
    if (before === 'negative' && value > 0) out.byte(0x2b)
    out.ascii(`${value} ${unit}${value === 1 ? '' : 's'}`)
    before = value < 0 ? 'negative' : 'positive'
  }
  part(years, 'year')
  part(months - years * 12, 'mon')
  part(days, 'day')
  const isNegative = seconds < 0n || micros < 0
  if (seconds === 0n && micros === 0 && before !== 'nothing') return
  if (before !== 'nothing') out.byte(0x20)
  if (isNegative) out.byte(0x2d)
  else if ((before as string) === 'negative') out.byte(0x2b)
  const whole = isNegative ? -seconds : seconds
  out.padded(Number(whole / 3600n), 2)
  out.byte(0x3a)
  out.padded(Number((whole / 60n) % 60n), 2)
  out.byte(0x3a)
  out.padded(Number(whole % 60n), 2)
  writeFraction(Math.abs(micros), out)
}
