// What DuckDB is taught at the start: casts that depend on the type of what is cast, and how values are written for the driver. A cast works on
// the value's text beside it, since the overloads of DuckDB's macros do not see the type of an aggregate. Each has a twin for TRY_CAST.

import { raisedInSql } from './snowflake-error.ts'

const TZ = 'STRUCT(ts TIMESTAMP WITH TIME ZONE, tz SMALLINT)'
const NTZ = `'TIMESTAMP', 'TIMESTAMP_NS', 'DATE'`
const LTZ = `'TIMESTAMP WITH TIME ZONE'`

/** An error of Snowflake's in SQL; `value` is put where the text has a question mark. */
function raise(code: string, sqlState: string, text: string, value = 't'): string {
  const quoted = raisedInSql(code, sqlState, text).replaceAll("'", "''")
  return `error(replace('${quoted}', '?', coalesce(${value}, '')))`
}

const ZONE = `'\\s*(Z|[+-]\\d\\d(:?\\d\\d)?)$'`
const TIME_OF_DAY = '\\d{1,2}:\\d\\d(:\\d\\d(\\.\\d*)?)?'
const HAS_TIME = `regexp_matches(t, '\\d:\\d\\d')`
const TIMESTAMP_FORM = `regexp_full_match(trim(t), '\\d{4}-\\d{1,2}-\\d{1,2}([ T]${TIME_OF_DAY})?\\s*(Z|[+-]\\d\\d(:?\\d\\d)?)?') AND t >= '0001'`
/** The common form, which needs none of the slow patterns. */
const PLAIN_TIMESTAMP = `t >= '0001' AND (t LIKE '____-__-__ __:__:__' OR (length(t) <= 26 AND t LIKE '____-__-__ __:__:__.%' AND regexp_full_match(t[21:], '\\d*')))`
/** '2024-01-01 10:00 +0900' and '… Z' as DuckDB reads them. */
const ZONED = `regexp_replace(regexp_replace(trim(t), '\\s*([+-]\\d\\d):?(\\d\\d)$', '\\1:\\2'), '\\s*Z$', '+00:00')`
const UNZONED = `CASE WHEN ${HAS_TIME} THEN regexp_replace(trim(t), ${ZONE}, '') ELSE trim(t) END`
const INSTANT = `CASE WHEN ${HAS_TIME} THEN ${ZONED} ELSE trim(t) END`
/** Minutes east of Greenwich. */
const MINUTES = `CASE WHEN regexp_matches(t, '\\d:\\d\\d.*[+-]\\d\\d:?\\d\\d$') THEN
  (CASE WHEN regexp_matches(t, '-\\d\\d:?\\d\\d$') THEN -1 ELSE 1 END) *
  (60 * regexp_extract(t, '(\\d\\d):?(\\d\\d)$', 1)::INTEGER + regexp_extract(t, '(\\d\\d):?(\\d\\d)$', 2)::INTEGER) ELSE 0 END::SMALLINT`
const utc = (one: string) => `timezone('UTC', ${one})`
/** The two fields of a TIMESTAMP_TZ, out of the text that DuckDB prints of a struct. */
const TZ_INSTANT = `TRY_CAST(regexp_extract(t, '''ts'': ''?([^'',]+)', 1) AS TIMESTAMPTZ)`
const TZ_MINUTES = `TRY_CAST(regexp_extract(t, '''tz'': (-?\\d+)', 1) AS SMALLINT)`
const TZ_LOCAL = `(${utc(TZ_INSTANT)} + to_minutes(${TZ_MINUTES}))`

type Kind = 'NTZ' | 'NTZ_NS' | 'LTZ' | 'TZ' | 'DATE' | 'TIME' | 'BINARY'

/** The macros sf_x(x, t), which fail, and sf_try_x(x, t), which give NULL instead. */
function casts(attempt: boolean): string[] {
  const fail = (...error: Parameters<typeof raise>) => (attempt ? 'NULL' : raise(...error))
  const read = (text: string, type: string) => (attempt ? `TRY_CAST(${text} AS ${type})` : `CAST(${text} AS ${type})`)
  const badTimestamp = fail('100035', '22007', "Timestamp '?' is not recognized")
  const lossy = fail(
    '000002',
    '0A000',
    'Unsupported feature: this emulator keeps microseconds, unless a column of type TIMESTAMP_NTZ asks for more by its precision.',
  )
  /** A text with its digits past the microsecond is refused, not cut. */
  const kept = (value: string) =>
    `CASE WHEN NOT (${TIMESTAMP_FORM}) THEN ${badTimestamp} WHEN regexp_matches(t, '\\.\\d{6}\\d*[1-9]') THEN ${lossy} ELSE ${value} END`
  const of = (kind: Kind, branches: Readonly<Record<string, string>>) => {
    const other = fail('002007', '22000', `SQL compilation error:\nInvalid argument types for a cast to ${kind}: (?)`, 'typeof(x)')
    const whens = Object.entries(branches).map(([types, body]) => `WHEN typeof(x) IN (${types}) THEN ${body}`)
    return `CREATE MACRO sf_${attempt ? 'try_' : ''}${kind.toLowerCase()}(x, t) AS CASE WHEN t IS NULL THEN NULL ${whens.join(' ')} ELSE ${other} END`
  }
  const texts = `'VARCHAR', 'JSON'`
  const tz = `'${TZ}'`
  const dates = `CASE WHEN t LIKE '____-__-__' AND t >= '0001' THEN ${read('t', 'DATE')}
    WHEN ${TIMESTAMP_FORM} THEN ${read(`(${UNZONED})`, 'TIMESTAMP')}::DATE ELSE ${fail('100040', '22007', "Date '?' is not recognized")} END`
  const times = `CASE WHEN regexp_full_match(t, '${TIME_OF_DAY}') AND t NOT LIKE '24%' THEN ${read('t', 'TIME_NS')}
    ELSE ${fail('100108', '22007', "Time '?' is not recognized")} END`
  return [
    of('NTZ', {
      [texts]: `CASE WHEN ${PLAIN_TIMESTAMP} THEN ${read('t', 'TIMESTAMP')} ELSE ${kept(read(`(${UNZONED})`, 'TIMESTAMP'))} END`,
      [NTZ]: 'TRY_CAST(t AS TIMESTAMP)',
      [LTZ]: utc('TRY_CAST(t AS TIMESTAMPTZ)'),
      [tz]: TZ_LOCAL,
    }),
    of('NTZ_NS', {
      [texts]: `CASE WHEN ${TIMESTAMP_FORM} THEN ${read(`(${UNZONED})`, 'TIMESTAMP_NS')} ELSE ${badTimestamp} END`,
      [NTZ]: 'TRY_CAST(t AS TIMESTAMP_NS)',
      [LTZ]: `${utc('TRY_CAST(t AS TIMESTAMPTZ)')}::TIMESTAMP_NS`,
      [tz]: `${TZ_LOCAL}::TIMESTAMP_NS`,
    }),
    of('LTZ', {
      [texts]: kept(read(`(${INSTANT})`, 'TIMESTAMPTZ')),
      [NTZ]: utc('TRY_CAST(t AS TIMESTAMP)'),
      [LTZ]: 'TRY_CAST(t AS TIMESTAMPTZ)',
      [tz]: TZ_INSTANT,
    }),
    of('TZ', {
      [texts]: kept(`{'ts': ${read(`(${INSTANT})`, 'TIMESTAMPTZ')}, 'tz': ${MINUTES}}`),
      [NTZ]: `{'ts': ${utc('TRY_CAST(t AS TIMESTAMP)')}, 'tz': 0::SMALLINT}`,
      [LTZ]: `{'ts': TRY_CAST(t AS TIMESTAMPTZ), 'tz': 0::SMALLINT}`,
      [tz]: `{'ts': ${TZ_INSTANT}, 'tz': ${TZ_MINUTES}}`,
    }),
    of('DATE', {
      [texts]: dates,
      [NTZ]: 'TRY_CAST(t AS TIMESTAMP)::DATE',
      [LTZ]: `${utc('TRY_CAST(t AS TIMESTAMPTZ)')}::DATE`,
      [tz]: `${TZ_LOCAL}::DATE`,
    }),
    of('TIME', {
      [texts]: times,
      "'TIME', 'TIME_NS'": 'TRY_CAST(t AS TIME_NS)',
      "'TIMESTAMP', 'TIMESTAMP_NS'": 'TRY_CAST(t AS TIMESTAMP)::TIME::TIME_NS',
      [LTZ]: `${utc('TRY_CAST(t AS TIMESTAMPTZ)')}::TIME::TIME_NS`,
      [tz]: `${TZ_LOCAL}::TIME::TIME_NS`,
    }),
    of('BINARY', {
      [texts]: `CASE WHEN regexp_full_match(t, '([0-9A-Fa-f]{2})*') THEN unhex(t)
        ELSE ${fail('100115', '22023', "The following string is not a legal hex-encoded value: '?'")} END`,
      "'BLOB'": 'TRY_CAST(t AS BLOB)',
    }),
  ]
}

/** Formats are those of the session, or all the one that is asked for. DuckDB prints a number without a zero before its point. */
const TEXT = `CREATE MACRO sf_text(x, t, ntz, ltz, tz, d, tm, ns) AS CASE
  WHEN typeof(x) = 'VARCHAR' THEN t
  WHEN starts_with(typeof(x), 'DECIMAL') THEN CASE WHEN starts_with(t, '.') THEN '0' || t WHEN starts_with(t, '-.') THEN '-0' || t[2:] ELSE t END
  WHEN typeof(x) = 'DOUBLE' THEN replace(t, 'nan', 'NaN')
  WHEN typeof(x) = 'DATE' THEN strftime(TRY_CAST(t AS DATE), d)
  WHEN typeof(x) = 'TIMESTAMP' THEN strftime(TRY_CAST(t AS TIMESTAMP), ntz)
  WHEN typeof(x) = 'TIMESTAMP_NS' THEN strftime(TRY_CAST(t AS TIMESTAMP_NS), ns)
  WHEN typeof(x) = ${LTZ} THEN strftime(${utc('TRY_CAST(t AS TIMESTAMPTZ)')}, ltz)
  WHEN typeof(x) IN ('TIME', 'TIME_NS') THEN strftime(make_timestamp_ns(epoch_ns(TRY_CAST(t AS TIME_NS))), tm)
  WHEN typeof(x) = '${TZ}' THEN replace(replace(strftime(${TZ_LOCAL}, tz),
    '\u0001', CASE WHEN ${TZ_MINUTES} < 0 THEN '-' ELSE '+' END || printf('%02d', abs(${TZ_MINUTES}) // 60)),
    '\u0002', printf('%02d', abs(${TZ_MINUTES}) % 60))
  WHEN typeof(x) = 'BLOB' THEN hex(TRY_CAST(t AS BLOB))
  ELSE t END`

const OTHERS: readonly string[] = [
  // By overloads, since a date must stay one; of an aggregate DuckDB cannot tell, and refuses it.
  'CREATE MACRO sf_add_whole(x DATE, step) AS (x + step)::DATE, (x TIMESTAMP, step) AS x + step, (x TIMESTAMPTZ, step) AS x + step',
  'CREATE MACRO sf_wire_us(us) AS (us::DECIMAL(30,0) * 0.000001::DECIMAL(7,6))::DECIMAL(38,9)::VARCHAR',
  'CREATE MACRO sf_wire_ns(ns) AS (ns::DECIMAL(28,0) * 0.000000001::DECIMAL(10,9))::DECIMAL(37,9)::VARCHAR',
]

export const MACROS: readonly string[] = [...casts(false), ...casts(true), TEXT, ...OTHERS]
