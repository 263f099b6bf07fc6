// What a connector's settings lose of a table, told before a row is read: values that will be refused, and those that are falsified so that
// nobody can see it in them. For `check`.

import { type DebeziumColumn, type DebeziumModes, type Declared, type Encoding, encodingOf, parseDeclared } from './debezium-encoding.ts'
import { EXCLUDE } from './debezium-refusal.ts'

export interface DebeziumLoss {
  readonly column: string
  /** `refused`: some or all values of the column stop the pipeline. `unseen`: they arrive as something else. */
  readonly kind: 'refused' | 'unseen'
  /** A sentence without its end. */
  readonly what: string
  readonly hint: string
}

type Finding = Pick<DebeziumLoss, 'kind' | 'what' | 'hint'>

const TIMES = 'Set `time.precision.mode=structured`.'
const STRING = 'Set `decimal.handling.mode=string`.'
const FAIL = 'and `event.converting.failure.handling.mode=fail`, so that what is left stops the connector.'

/** Of columns that are loaded, in their order. */
export function debeziumLosses(columns: readonly DebeziumColumn[], modes: DebeziumModes): readonly DebeziumLoss[] {
  return columns
    .filter(({ place }) => place !== null)
    .flatMap((column) =>
      lossesOf(parseDeclared(column.declared), encodingOf(column, modes), column, modes).map((one) => ({ column: column.name, ...one })),
    )
}

function lossesOf(declared: Declared, encoding: Encoding, column: DebeziumColumn, modes: DebeziumModes): readonly Finding[] {
  if (encoding.as === 'refused') return [{ kind: 'refused', what: encoding.why, hint: encoding.hint }]
  if (encoding.as === 'array') {
    const { element } = declared
    const own: Finding = {
      kind: 'unseen',
      what: 'arrays lose their lower bounds, and those of several dimensions are refused',
      hint: EXCLUDE,
    }
    return [own, ...(element === null ? [] : lossesOf(element, encoding.item, column, modes))]
  }
  return [...typeLosses(declared, column, modes), ...encodingLosses(encoding, modes)]
}

/** Types that are not sent, or not as what they are, whatever the settings. */
function typeLosses({ base }: Declared, column: DebeziumColumn, { unknownTypes }: DebeziumModes): readonly Finding[] {
  if (base === 'money')
    return [{ kind: 'unseen', what: 'money is printed as lc_monetary C does, with two digits behind the point', hint: EXCLUDE }]
  if (base === 'date')
    return [
      {
        kind: 'unseen',
        what: 'dates before Christ come from a snapshot as dates after it',
        hint: 'Load the table by its log alone, or let no such date be in it.',
      },
    ]
  const isKnown = column.isEnum || KNOWN.test(base)
  if (isKnown || unknownTypes) return []
  return [
    {
      kind: 'refused',
      what: `the connector leaves out columns of type ${base} unless it knows the type`,
      hint: `Set \`include.unknown.datatypes=true\`. ${EXCLUDE}`,
    },
  ]
}

const KNOWN =
  /^(boolean|smallint|integer|bigint|oid|real|double precision|numeric|bytea|bit|interval|time|timestamp|text|character|bpchar|name|"char"|json|xml|uuid|inet|cidr|macaddr|tsvector|int[48]range|(num|date|ts|tstz)range|point|box|isbn|(\w+\.)?(citext|ltree|hstore|geometry|geography))/

function encodingLosses(encoding: Encoding, { decimals, binary, failures }: DebeziumModes): readonly Finding[] {
  switch (encoding.as) {
    case 'decimal-bytes':
    case 'variable-decimal': {
      const lost: Finding = { kind: 'unseen', what: 'NaN and infinite numbers arrive as NULL', hint: `${STRING.slice(0, -1)}, ${FAIL}` }
      const own = failures === 'fail' ? [] : [lost]
      return encoding.as === 'decimal-bytes'
        ? own
        : [
            ...own,
            {
              kind: 'refused',
              what: 'NULL in an update may stand for a long number that has not changed; zeros at the end are cut off',
              hint: STRING,
            },
          ]
    }
    case 'decimal-double':
      if (encoding.precision <= 15) return []
      return [{ kind: 'refused', what: `numbers of more than 15 digits lose some with decimal.handling.mode=${decimals}`, hint: STRING }]
    case 'money-double':
      return [{ kind: 'refused', what: 'amounts of more than 15 digits lose some', hint: STRING }]
    case 'base64':
      if (binary === 'bytes') return []
      return [
        {
          kind: 'refused',
          what: 'NULL in an update may stand for bytes that have not changed',
          hint: 'Set `binary.handling.mode=bytes` (or `hex`).',
        },
      ]
    case 'days':
      return [{ kind: 'refused', what: 'infinite dates of a snapshot arrive as other dates', hint: TIMES }]
    case 'iso-date':
    case 'iso-timestamp':
      return [{ kind: 'refused', what: 'infinite dates and timestamps arrive as other ones', hint: TIMES }]
    case 'iso-time':
      return [{ kind: 'refused', what: '24:00:00 arrives as midnight', hint: 'Set `time.precision.mode=microseconds`.' }]
    case 'structured-time':
      if (failures === 'fail') return []
      return [{ kind: 'unseen', what: '24:00:00 arrives as NULL', hint: `Set \`time.precision.mode=microseconds\`, ${FAIL}` }]
    case 'timestamp':
      if (encoding.unit === 1_000_000) return [{ kind: 'refused', what: 'timestamps after 294246 arrive as other ones', hint: TIMES }]
      if (encoding.unit === 1000 || failures === 'fail') return []
      return [
        {
          kind: 'unseen',
          what: 'timestamps before 1677 and after 2262 arrive as NULL',
          hint: `Set \`time.precision.mode=microseconds\`, ${FAIL}`,
        },
      ]
    case 'zoned-range':
      return [
        {
          kind: 'refused',
          what: "ranges of timestamps stand in the time zone of the connector's session",
          hint: "Set `ALTER ROLE … SET timezone = 'UTC'` for its user.",
        },
      ]
    default:
      return []
  }
}
