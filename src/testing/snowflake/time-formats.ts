// Snowflake's formats of dates and times as DuckDB's, and the session parameters that hold them.

import { literal } from './identifiers.ts'
import { unknown } from './snowflake-error.ts'

/** Stand in a format for hours and minutes of the offset, which only a value with its own zone knows. */
const ZONE_HOURS = '\u0001'
const ZONE_MINUTES = '\u0002'
/** Nine digits, which DuckDB prints right only of a type that has them. */
const NANOSECONDS = '\u0003'

const ELEMENTS: readonly (readonly [string, string])[] = [
  ['YYYY', '%Y'],
  ['MM', '%m'],
  ['DD', '%d'],
  ['HH24', '%H'],
  ['MI', '%M'],
  ['SS', '%S'],
  ['FF0', ''],
  ['FF3', '%g'],
  ['FF6', '%f'],
  ['FF9', NANOSECONDS],
  ['FF', NANOSECONDS],
  ['TZH', ZONE_HOURS],
  ['TZM', ZONE_MINUTES],
]

/** `YYYY-MM-DD"T"HH24:MI:SS.FF3` as a format of DuckDB. */
function duckFormat(format: string): string {
  let result = ''
  let at = 0
  while (at < format.length) {
    const rest = format.slice(at)
    const quoted = /^"([^"]*)"/.exec(rest)
    const element = ELEMENTS.find(([name]) => rest.toUpperCase().startsWith(name))
    if (quoted) {
      result += quoted[1]
      at += quoted[0].length
    } else if (element) {
      result += element[1]
      at += element[0].length
    } else {
      if (/[A-Za-z]/.test(rest[0]!)) throw unknown(`the format of times ${format}`)
      result += rest[0] === '%' ? '%%' : rest[0]
      at++
    }
  }
  return result.replace(/\.$/, '')
}

const inUtc = (format: string) => format.replaceAll(ZONE_HOURS, '+00').replaceAll(ZONE_MINUTES, '00')
const inMicroseconds = (format: string) => format.replaceAll(NANOSECONDS, '%f000')
const inNanoseconds = (format: string) => format.replaceAll(NANOSECONDS, '%n')
const DEFAULT = 'YYYY-MM-DD HH24:MI:SS.FF3'

/** The last arguments of the macro sf_text. */
export function textFormats(parameter: (name: string) => string): string {
  const general = parameter('TIMESTAMP_OUTPUT_FORMAT') || `${DEFAULT} TZHTZM`
  const ntz = duckFormat(parameter('TIMESTAMP_NTZ_OUTPUT_FORMAT') || DEFAULT)
  const ltz = duckFormat(parameter('TIMESTAMP_LTZ_OUTPUT_FORMAT') || general)
  const tz = duckFormat(parameter('TIMESTAMP_TZ_OUTPUT_FORMAT') || general)
  const date = duckFormat(parameter('DATE_OUTPUT_FORMAT') || 'YYYY-MM-DD')
  const time = duckFormat(parameter('TIME_OUTPUT_FORMAT') || 'HH24:MI:SS')
  return [ntz, inUtc(ltz), tz, date].map(inMicroseconds).concat([time, ntz].map(inNanoseconds)).map(literal).join(', ')
}

/** The same for one format, whatever is printed. */
export function onlyFormat(format: string): string {
  const duck = duckFormat(format)
  const utc = inUtc(duck)
  return [utc, utc, duck, utc].map(inMicroseconds).concat([utc, utc].map(inNanoseconds)).map(literal).join(', ')
}

/** A time as a statement writes it, in milliseconds with the microseconds as a fraction; UTC where no zone is named. */
export function readTime(text: string): number {
  const parts = /^(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d(?::\d\d)?)(\.\d+)?)?\s*(Z|[+-]\d\d:?\d\d)?$/.exec(text.trim())
  if (!parts) throw unknown(`the time ${text}`)
  const [, day, time = '00:00:00', fraction = '', zone = 'Z'] = parts
  const full = time.length === 5 ? `${time}:00` : time
  return Date.parse(`${day}T${full}${zone.replace(/(\d\d)(\d\d)$/, '$1:$2')}`) + Number(`0${fraction}`) * 1000
}

/** A moment as text with microseconds, in UTC. */
export function writeTime(milliseconds: number): string {
  const micros = Math.round(milliseconds * 1000)
  const iso = new Date(Math.floor(micros / 1000)).toISOString()
  return `${iso.slice(0, 10)} ${iso.slice(11, 23)}${String(((micros % 1000) + 1000) % 1000).padStart(3, '0')}`
}
