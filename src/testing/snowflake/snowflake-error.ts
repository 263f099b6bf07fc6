// What the emulator answers when a statement fails: the code, the state and the text that Snowflake's clients see.

export class SnowflakeError extends Error {
  readonly code: string
  readonly sqlState: string

  constructor(code: string, sqlState: string, message: string) {
    super(message)
    this.code = code
    this.sqlState = sqlState
  }
}

/** What the emulator has not been taught is refused by name: a guess would make a test pass for the wrong reason. */
export function unknown(what: string): SnowflakeError {
  return new SnowflakeError('000002', '0A000', `Unsupported feature: this emulator does not know ${what}.`)
}

export function syntaxError(what: string, position: number): SnowflakeError {
  return new SnowflakeError('001003', '42000', `SQL compilation error:\nsyntax error at position ${position} unexpected '${what}'.`)
}

export function doesNotExist(kind: string, name: string): SnowflakeError {
  return new SnowflakeError('002003', '42S02', `SQL compilation error:\n${kind} '${name}' does not exist or not authorized.`)
}

export function alreadyExists(name: string): SnowflakeError {
  return new SnowflakeError('002002', '42710', `SQL compilation error:\nObject '${name}' already exists.`)
}

/** Puts code and state into the text of DuckDB's `error()`, from which `fromDuckDB` takes them again. */
export function raisedInSql(code: string, sqlState: string, message: string): string {
  return `\u001e${code}\u001e${sqlState}\u001e${message}\u001e`
}

/** What DuckDB says of a value that it cannot convert, and how Snowflake says it. */
const CONVERSIONS: readonly (readonly [RegExp, string, string, string])[] = [
  [/(?:invalid date field format|date field value out of range): "(.*?)"/, '100040', "Date '?' is not recognized", '22007'],
  [/(?:invalid timestamp field format|timestamp field value out of range): "(.*?)"/, '100035', "Timestamp '?' is not recognized", '22007'],
  [/time field value out of range: "(.*?)"/, '100108', "Time '?' is not recognized", '22007'],
  [/Could not convert string ["'](.*?)["'] to BOOL/, '100037', "Boolean value '?' is not recognized", '22018'],
  [/Could not convert string ["'](.*?)["'] to /, '100038', "Numeric value '?' is not recognized", '22018'],
  [/Could not cast value (\S+) to /, '100132', "Numeric value '?' is out of range", '22003'],
  [/Malformed JSON(.*)/, '100069', 'Error parsing JSON:?', '22P02'],
]

/** DuckDB's message as the nearest that Snowflake would say. */
export function fromDuckDB(error: unknown, decode: (text: string) => string): SnowflakeError {
  if (error instanceof SnowflakeError) return error
  const text = error instanceof Error ? error.message : String(error)
  // DuckDB may also quote the statement that it met an error of its own in, with all that it could have raised.
  const isRaised = text.replace(/^[A-Z][\w ]+ Error: /, '').startsWith('\u001e')
  const [, code, sqlState, raised] = isRaised ? text.split('\u001e') : []
  if (raised !== undefined) return new SnowflakeError(code!, sqlState!, decode(raised))
  const message = decode(text)
  if (/INTERRUPT/i.test(message)) return new SnowflakeError('000604', '57014', 'SQL execution canceled')
  const column = /Referenced column "([^"]*)" (?:not found|was not found)|does not have a column named "([^"]*)"/.exec(message)
  if (column) return new SnowflakeError('000904', '42000', `SQL compilation error:\ninvalid identifier '${column[1] ?? column[2]}'`)
  if (/Ambiguous reference/.test(message)) return new SnowflakeError('002001', '42601', `SQL compilation error:\n${firstLine(message)}`)
  const conversion = CONVERSIONS.find(([pattern]) => pattern.test(message))
  if (conversion) {
    const [pattern, known, what, state] = conversion
    return new SnowflakeError(known, state, what.replace('?', pattern.exec(message)?.[1] ?? ''))
  }
  if (/Conversion Error|Invalid Input Error|Out of Range Error/.test(message)) {
    return new SnowflakeError('100038', '22018', `Value is not recognized: ${firstLine(message)}`)
  }
  if (/GROUP BY|aggregate/.test(message)) {
    return new SnowflakeError('000979', '42601', `SQL compilation error:\n${firstLine(message)}`)
  }
  return new SnowflakeError('001003', '42000', `SQL compilation error:\n${firstLine(message)}`)
}

function firstLine(message: string): string {
  return message.split('\n')[0] ?? message
}
