// Dates and times as messages have them → PostgreSQL's text of them (DateStyle ISO, TimeZone UTC). What lies outside of what PostgreSQL
// can hold is an overflow of the connector's, and refused: nobody knows any more what it was.

import type { JsonReader } from './debezium-json.ts'
import { badMessage, falsified } from './debezium-refusal.ts'
import type { TextBuilder } from './debezium-text.ts'

const DAY_SECONDS = 86_400
const FIRST_DAY = -2_440_588 // 4714-11-24 BC
const LAST_DAY = 2_145_042_905 // 5874897-12-31
const LAST_TIMESTAMP_DAY = 106_762_939 // 294276-12-31
const MOST = 9_223_372_036_854_775_807n
const MOST_MILLIS = 9_223_372_036_825_200_000n
const LEAST_MILLIS = -9_223_372_036_832_400_000n
/** What streamed infinite dates look like; those of a snapshot are refused, since they are others again. */
const LATEST_DATE = 2_146_033_979
const EARLIEST_DATE = -2_147_472_691

const STRUCTURED = 'Set `time.precision.mode=structured` for the connector, and copy the table again.'

/** The number at the reader: exact. */
export function readInteger(reader: JsonReader): number | bigint {
  reader.number()
  const { bytes, from, to } = reader
  const negative = bytes[from] === 0x2d
  let value = 0
  for (let at = negative ? from + 1 : from; at < to; at++) {
    const digit = (bytes[at] as number) - 0x30
    if (digit < 0 || digit > 9) throw badMessage('has a fraction where a whole number should be')
    value = value * 10 + digit
  }
  if (to - from <= 16 && value <= Number.MAX_SAFE_INTEGER) return negative ? -value : value
  if (to - from > 32) throw badMessage('has a whole number that is too long')
  let text = ''
  for (let at = from; at < to; at++) text += String.fromCharCode(bytes[at] as number)
  return BigInt(text)
}

/** Within a struct and elsewhere: a whole number of moderate size. */
function readSmall(reader: JsonReader): number {
  const value = readInteger(reader)
  if (typeof value === 'bigint') throw badMessage('has a whole number that is too large for its field')
  return value
}

export function writeDays(reader: JsonReader, out: TextBuilder, column: string): void {
  const days = readSmall(reader)
  if (days === LATEST_DATE) out.ascii('infinity')
  else if (days === EARLIEST_DATE) out.ascii('-infinity')
  else if (days < FIRST_DAY || days > LAST_DAY) throw outOfRange(column, 'date')
  else {
    const isBefore = writeDay(days, out)
    if (isBefore) out.ascii(' BC')
  }
}

/** Year, month and day; returns whether BC is still to be said. */
function writeDay(days: number, out: TextBuilder): boolean {
  // Days from 0000-03-01, in eras of 400 years: leap days come last in such years.
  const shifted = days + 719_468
  const era = Math.floor(shifted / 146_097)
  const day = shifted - era * 146_097
  const year = Math.floor((day - Math.floor(day / 1460) + Math.floor(day / 36_524) - Math.floor(day / 146_096)) / 365)
  const rest = day - (365 * year + Math.floor(year / 4) - Math.floor(year / 100))
  const month = Math.floor((5 * rest + 2) / 153)
  return writeYmd(
    year + era * 400 + (month >= 10 ? 1 : 0),
    month < 10 ? month + 3 : month - 9,
    rest - Math.floor((153 * month + 2) / 5) + 1,
    out,
  )
}

/** `year` as astronomers count: 0 is 1 BC. */
function writeYmd(year: number, month: number, day: number, out: TextBuilder): boolean {
  const isBefore = year <= 0
  out.padded(isBefore ? 1 - year : year, 4)
  out.byte(0x2d)
  two(month, out)
  out.byte(0x2d)
  two(day, out)
  return isBefore
}

function two(value: number, out: TextBuilder): void {
  out.byte(0x30 + Math.floor(value / 10))
  out.byte(0x30 + (value % 10))
}

function writeClock(seconds: number, micros: number, out: TextBuilder): void {
  two(Math.floor(seconds / 3600), out)
  out.byte(0x3a)
  two(Math.floor(seconds / 60) % 60, out)
  out.byte(0x3a)
  two(seconds % 60, out)
  writeFraction(micros, out)
}

/** Without zeros at its end, as PostgreSQL prints it. */
export function writeFraction(micros: number, out: TextBuilder): void {
  if (micros === 0) return
  out.byte(0x2e)
  let digits = micros
  let width = 6
  for (; digits % 10 === 0; width--) digits /= 10
  out.padded(digits, width)
}

/** Whole seconds, and the microseconds after them. */
function split(value: number | bigint, unit: number): { seconds: number; micros: number } {
  if (typeof value === 'number') {
    const seconds = Math.floor(value / unit)
    const rest = value - seconds * unit
    if (unit <= 1_000_000) return { seconds, micros: rest * (1_000_000 / unit) }
    if (rest % 1000 !== 0) throw badMessage('has nanoseconds, which PostgreSQL has not')
    return { seconds, micros: rest / 1000 }
  }
  const rest = ((value % BigInt(unit)) + BigInt(unit)) % BigInt(unit)
  const { micros } = split(Number(rest), unit)
  return { seconds: Number((value - rest) / BigInt(unit)), micros }
}

export function writeTime(reader: JsonReader, unit: number, out: TextBuilder): void {
  const { seconds, micros } = split(readInteger(reader), unit)
  checkClock(seconds, micros)
  writeClock(seconds, micros, out)
}

function checkClock(seconds: number, micros: number): void {
  if (!(seconds >= 0 && (seconds < DAY_SECONDS || (seconds === DAY_SECONDS && micros === 0))))
    throw badMessage('has a time that no day has')
}

/** Without a time zone. */
export function writeTimestamp(reader: JsonReader, unit: number, out: TextBuilder, column: string): void {
  const value = readInteger(reader)
  if (typeof value === 'bigint') {
    // The last microsecond that 64 bits can count stands for infinity, here and in PostgreSQL's driver.
    if (value === MOST || (unit === 1000 && value === MOST_MILLIS)) {
      out.ascii('infinity')
      return
    }
    if (value === -MOST - 1n || (unit === 1000 && value === LEAST_MILLIS)) {
      out.ascii('-infinity')
      return
    }
  }
  const { seconds, micros } = split(value, unit)
  writeMoment(seconds, micros, false, out, column)
}

function writeMoment(seconds: number, micros: number, zoned: boolean, out: TextBuilder, column: string): void {
  const days = Math.floor(seconds / DAY_SECONDS)
  if (days < FIRST_DAY || days > LAST_TIMESTAMP_DAY) throw outOfRange(column, 'timestamp')
  const isBefore = writeDay(days, out)
  out.byte(0x20)
  writeClock(seconds - days * DAY_SECONDS, micros, out)
  if (zoned) out.ascii('+00')
  if (isBefore) out.ascii(' BC')
}

function outOfRange(column: string, what: string): Error {
  return falsified(column, `the connector has sent a ${what} that is infinite or very late as another one`, STRUCTURED)
}

interface Parts {
  year: number
  month: number
  day: number
  seconds: number
  micros: number
  /** Seconds east of Greenwich. */
  zone: number
}

/** From a date and a time in ISO 8601, either of which may be missing; the text has been checked to be one. */
function readIso(text: string): Parts {
  const match =
    /^(?:([+-]?\d{4,10})-(\d\d)-(\d\d))?T?(?:(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?(?:Z|([+-])(\d\d):?(\d\d)(?::(\d\d))?)?$/.exec(text)
  if (match === null || text === '') throw badMessage('has a date or time that is none')
  const number = (at: number): number => Number(match[at] ?? 0)
  const fraction = (match[7] ?? '').padEnd(9, '0')
  if (!fraction.endsWith('000')) throw badMessage('has nanoseconds, which PostgreSQL has not')
  return {
    year: number(1),
    month: number(2),
    day: number(3),
    seconds: number(4) * 3600 + number(5) * 60 + number(6),
    micros: Number(fraction.slice(0, 6)),
    zone: (match[8] === '-' ? -1 : 1) * (number(9) * 3600 + number(10) * 60 + number(11)),
  }
}

function daysOf(year: number, month: number, day: number): number {
  if (month < 1 || month > 12 || day < 1 || day > 31) throw badMessage('has a date that no calendar has')
  const shifted = month <= 2 ? year - 1 : year
  const era = Math.floor(shifted / 400)
  const ofEra = shifted - era * 400
  const ofYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1
  return era * 146_097 + ofEra * 365 + Math.floor(ofEra / 4) - Math.floor(ofEra / 100) + ofYear - 719_468
}

export function writeIsoDate(text: string, out: TextBuilder, column: string): void {
  const { year, month, day } = readIso(text)
  writeDate(year, month, day, out, column)
}

function writeDate(year: number, month: number, day: number, out: TextBuilder, column: string): void {
  const days = daysOf(year, month, day)
  if (days < FIRST_DAY || days > LAST_DAY) throw outOfRange(column, 'date')
  if (writeDay(days, out)) out.ascii(' BC')
}

export function writeIsoTime(text: string, out: TextBuilder, column: string): void {
  const { seconds, micros } = readIso(text)
  if (seconds === 0 && micros === 0) throw falsified(column, 'the connector sends 24:00:00 as midnight', STRUCTURED_TIME)
  checkClock(seconds, micros)
  writeClock(seconds, micros, out)
}

const STRUCTURED_TIME = 'Set `time.precision.mode=microseconds` for the connector, and copy the table again.'

export function writeIsoTimestamp(text: string, zoned: boolean, out: TextBuilder, column: string): void {
  if (text === 'infinity' || text === '-infinity') {
    out.ascii(text)
    return
  }
  const { year, month, day, seconds, micros, zone } = readIso(text)
  if (!zoned && zone !== 0) throw badMessage('has a time zone in a timestamp without one')
  writeMoment(daysOf(year, month, day) * DAY_SECONDS + seconds - zone, micros, zoned, out, column)
}

/** What stands in a struct of `time.precision.mode=structured`. */
export interface StructuredTime {
  readonly numbers: Readonly<Record<string, number | undefined>>
  readonly special: string | null
}

export function writeStructured(
  value: StructuredTime,
  as: 'structured-date' | 'structured-time' | 'structured-zoned-time' | 'structured-timestamp' | 'structured-zoned-timestamp',
  out: TextBuilder,
  column: string,
): void {
  const { numbers, special } = value
  if (special === 'POSITIVE_INFINITY') {
    out.ascii('infinity')
    return
  }
  if (special === 'NEGATIVE_INFINITY') {
    out.ascii('-infinity')
    return
  }
  if (special !== null) throw badMessage(`has a special value in column "${column}" that this version does not know`)
  const given = (name: string): number => {
    const number = numbers[name]
    if (number === undefined) throw badMessage(`has a time without its ${name} in column "${column}"`)
    return number
  }
  if (as === 'structured-date') {
    writeDate(given('year'), given('month'), given('day'), out, column)
    return
  }
  const seconds = given('hour') * 3600 + given('minute') * 60 + given('second')
  const nanos = given('nanos')
  if (nanos % 1000 !== 0) throw badMessage('has nanoseconds, which PostgreSQL has not')
  checkClock(seconds, nanos)
  if (as === 'structured-time' || as === 'structured-zoned-time') {
    writeClock(seconds, nanos / 1000, out)
    if (as === 'structured-zoned-time') writeZone(given('offsetSeconds'), out)
    return
  }
  const zone = as === 'structured-zoned-timestamp' ? given('offsetSeconds') : 0
  const days = daysOf(given('year'), given('month'), given('day'))
  writeMoment(days * DAY_SECONDS + seconds - zone, nanos / 1000, as === 'structured-zoned-timestamp', out, column)
}

function writeZone(zone: number, out: TextBuilder): void {
  out.byte(zone < 0 ? 0x2d : 0x2b)
  const seconds = Math.abs(zone)
  two(Math.floor(seconds / 3600), out)
  if (seconds % 3600 === 0) return
  out.byte(0x3a)
  two(Math.floor(seconds / 60) % 60, out)
  if (seconds % 60 === 0) return
  out.byte(0x3a)
  two(seconds % 60, out)
}
