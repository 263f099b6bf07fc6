// Snowflake's and its driver's errors → tidemark's. The server's number decides; its message passes only where it is made of names:
// messages of the kinds that quote values of rows are rebuilt from the column and the row that they name.

import { type ErrorCode, LoadError } from '../../core/errors.ts'

/** The fields of a driver error that are looked at. */
interface DriverError {
  readonly message?: string
  readonly code?: string | number
  readonly sqlState?: string
  readonly cause?: { readonly code?: string; readonly message?: string }
  readonly response?: { readonly statusCode?: number; readonly status?: number }
  readonly data?: { readonly queryId?: string }
}

interface Kind {
  readonly code: ErrorCode
  /** In place of the server's message. */
  readonly says?: string
  readonly hint?: string
}

const KEY_HINT = 'Give the user the public half of the key: ALTER USER … SET RSA_PUBLIC_KEY = …; and check account and user.'
const TOKEN_HINT = 'Get a new token, and give it to the connection.'
const POLICY_HINT = "Run from an address that the network policy allows, or let an administrator add this machine's to it."
const WAREHOUSE_HINT =
  'Name a `warehouse` in the connection, and GRANT USAGE, OPERATE ON WAREHOUSE … TO ROLE …; a suspended one without AUTO_RESUME needs ALTER WAREHOUSE … RESUME.'

/** Refusals of a login, and of a session. */
const LOGIN: Readonly<Record<string, Kind>> = {
  '390100': { code: 'authentication-failed', says: 'user or password is wrong' },
  '390101': { code: 'authentication-failed', says: 'the user is disabled' },
  '390102': { code: 'authentication-failed', says: 'the user is locked for some minutes, after too many tries' },
  '390104': { code: 'connection-lost', says: 'the session is gone' },
  '390110': { code: 'connection-lost', says: 'the session has expired' },
  '390111': { code: 'connection-lost', says: 'the session is gone' },
  '390112': { code: 'connection-lost', says: 'the session has expired' },
  '390113': { code: 'connection-lost', says: 'the session has expired' },
  '390114': { code: 'connection-lost', says: 'the session has expired' },
  '390115': { code: 'connection-lost', says: 'the session is gone' },
  '390144': { code: 'authentication-failed', says: 'the key is not one of the user', hint: KEY_HINT },
  '390189': { code: 'missing-privilege', says: 'there is no such role, or the user does not have it', hint: 'GRANT ROLE … TO USER …;' },
  '390186': { code: 'missing-privilege', says: 'the user does not have the role', hint: 'GRANT ROLE … TO USER …;' },
  '390303': { code: 'authentication-failed', says: 'the OAuth token is not valid', hint: TOKEN_HINT },
  '390318': { code: 'authentication-failed', says: 'the OAuth token has expired', hint: TOKEN_HINT },
  '390422': { code: 'authentication-failed', says: "a network policy of the account doesn't let this machine in", hint: POLICY_HINT },
  '394400': { code: 'authentication-failed', says: 'the programmatic token is not valid, or has expired', hint: TOKEN_HINT },
}

/** Refusals of a statement. */
const STATEMENT: Readonly<Record<string, Kind>> = {
  '000604': { code: 'try-again', says: 'the statement was cancelled' },
  '000606': { code: 'warehouse-unavailable', says: 'no warehouse is selected', hint: WAREHOUSE_HINT },
  '000607': { code: 'warehouse-unavailable', says: 'the warehouse is suspended, and may not be resumed', hint: WAREHOUSE_HINT },
  '000625': { code: 'try-again', says: 'other transactions hold the lock of the table' },
  '000626': { code: 'try-again', says: 'other transactions hold the lock of the table' },
  '000630': { code: 'statement-timeout' },
  '000904': { code: 'missing-column' },
  '001757': { code: 'missing-table' },
  '002002': { code: 'state-conflict' },
  '002003': { code: 'missing-table' },
  '002043': { code: 'missing-table' },
  '003001': { code: 'missing-privilege' },
  '090105': {
    code: 'missing-database',
    says: 'the session has no database',
    hint: 'Check `database` and `schema` of the connection, and GRANT USAGE on both.',
  },
  '090106': {
    code: 'missing-database',
    says: 'the session has no schema',
    hint: 'Check `schema` of the connection, and GRANT USAGE on it.',
  },
  '100072': { code: 'constraint-violated', says: 'a column of the target may not be NULL' },
  '100090': {
    code: 'duplicate-key',
    says: 'several staged rows would change one row of the target',
    hint: 'Choose the key that is unique.',
  },
}

/** By the last digits of numbers that begin with 100: values that don't fit their column. */
const VALUES: Readonly<Record<string, string>> = {
  '035': 'a text is no timestamp that Snowflake knows (years 1 to 9999)',
  '036': 'a text is no date that Snowflake knows (years 1 to 9999)',
  '037': 'a text is no boolean',
  '038': 'a text is no number that the column takes',
  '039': 'a number is out of range',
  '040': 'a text is no date that Snowflake knows (years 1 to 9999)',
  '046': 'a number is out of range',
  '048': 'a text is no binary value',
  '069': 'a text is no JSON',
  '078': 'a text is too long for its column',
  '080': 'a line has another number of values than the table has columns',
  '108': 'a text is no time',
  '109': 'a text is no time',
  '132': 'a number is out of range',
  '144': 'a text is not valid UTF-8',
  '145': 'a binary value is too long for its column',
}

const UNREACHABLE = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'])

/** `connected` false: the error came while logging in. `what` names the connection: `target wh`. */
export function snowflakeError(thrown: unknown, what: string, side: 'source' | 'target', connected = true): LoadError {
  if (thrown instanceof LoadError) return thrown
  const error = thrown as DriverError
  const code = String(error.code ?? '')
  const at = { where: what, cause: quiet(error) }
  const login = LOGIN[code]
  if (login !== undefined) return refusal(login, `${what} refuses the connection`, code, at)
  if (/^4\d{5}$/.test(code)) return driverError(error, code, what, connected, at)
  if (/^39\d{4}$/.test(code)) return fromLoginMessage(error, what, code, at)
  const value = /^100(\d{3})$/.exec(code)?.[1]
  const why = value === undefined ? undefined : VALUES[value]
  if (why !== undefined) return new LoadError('value-refused', `${what}: ${why}${place(error.message)} (${code}).`, at)
  const kind = STATEMENT[code]
  if (kind !== undefined) return fromStatement(kind, error, code, side, at)
  return unknown(error, code, side, at)
}

type At = { readonly where: string; readonly cause: Error }

function refusal({ code, says, hint }: Kind, begins: string, number: string, at: At): LoadError {
  return new LoadError(code, `${begins}: ${says ?? 'it says no more'} (${number}).`, hint === undefined ? at : { ...at, hint })
}

/** Numbers change between kinds of logins; these words do not. */
function fromLoginMessage({ message = '' }: DriverError, what: string, code: string, at: At): LoadError {
  const kind: Kind = /network policy|not allowed to access/i.test(message)
    ? { code: 'authentication-failed', says: LOGIN['390422']?.says ?? '', hint: POLICY_HINT }
    : /token|oauth/i.test(message)
      ? { code: 'authentication-failed', says: 'the token is not valid, or has expired', hint: TOKEN_HINT }
      : { code: 'authentication-failed', says: 'the login is refused' }
  return refusal(kind, `${what} refuses the connection`, code, at)
}

/** What the driver itself says: 401 the network, 402 a part of a result, 404 its options, 405 and 407 its connection. */
function driverError(error: DriverError, code: string, what: string, connected: boolean, at: At): LoadError {
  const cause = error.cause?.code ?? ''
  const said = cause === '' ? (error.message ?? '').split('\n')[0] : cause
  const status = error.response?.statusCode ?? error.response?.status
  if (code.startsWith('404')) return new LoadError('bad-project', `${what}: ${said} (${code}).`, at)
  if (code === '390201') return new LoadError('unreachable', `Cannot reach ${what}: ${said}.`, at)
  if (/CERT|SSL|TLS/i.test(cause) || code.startsWith('412') || code.startsWith('413'))
    return new LoadError('tls-failed', `TLS with ${what} failed: ${said} (${code}).`, {
      ...at,
      hint: 'Let this machine reach the account over HTTPS without a proxy that changes certificates.',
    })
  if (!connected && (status === 403 || status === 404))
    return new LoadError('unreachable', `Cannot reach ${what}: it answers ${status}; the account may be wrong.`, at)
  if (UNREACHABLE.has(cause) || !connected) return new LoadError('unreachable', `Cannot reach ${what}: ${said} (${code}).`, at)
  return new LoadError('connection-lost', `The connection to ${what} broke: ${said} (${code}).`, at)
}

function fromStatement(kind: Kind, error: DriverError, number: string, side: 'source' | 'target', at: At): LoadError {
  const said = kind.says ?? names(error.message)
  const text = `${at.where}: ${said} (${number}).`
  const object = /(?:operate on|access(?: to)?)\s+(\w+(?: \w+)?)\s+'([^']+)'/i.exec(error.message ?? '')
  const missing = /\b(Database|Schema|Warehouse|Object|Table|View|Stage|Stream)\s+'([^']+)'/i.exec(error.message ?? '')
  if (kind.code === 'missing-privilege')
    return new LoadError(kind.code, text, { ...at, hint: grant(object?.[1] ?? 'table', object?.[2] ?? '…', side) })
  if (kind.code === 'missing-table') {
    const what = (missing?.[1] ?? 'table').toLowerCase()
    const hint = `If it is there, the role may not see it: ${grant(what === 'object' ? 'table' : what, missing?.[2] ?? '…', side)}`
    if (what === 'warehouse') return new LoadError('warehouse-unavailable', text, { ...at, hint })
    return new LoadError(what === 'database' ? 'missing-database' : kind.code, text, { ...at, hint })
  }
  if (side === 'source' && kind.code === 'state-conflict') return new LoadError('source-failed', text, at)
  return new LoadError(kind.code, text, kind.hint === undefined ? at : { ...at, hint: kind.hint })
}

/** The statement to paste. */
function grant(kind: string, name: string, side: 'source' | 'target'): string {
  const type = kind.toUpperCase()
  const rights: Readonly<Record<string, string>> = {
    DATABASE: 'USAGE',
    SCHEMA: side === 'source' ? 'USAGE' : 'USAGE, CREATE TABLE',
    WAREHOUSE: 'USAGE, OPERATE',
    STREAM: 'SELECT',
    STAGE: 'READ, WRITE',
  }
  const right = rights[type] ?? (side === 'source' ? 'SELECT' : 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')
  return `GRANT ${right} ON ${type} ${name} TO ROLE <the role of the connection>;`
}

/** A failure of a kind that is not known: only messages about the SQL itself are free of values. */
function unknown({ message, sqlState }: DriverError, code: string, side: 'source' | 'target', at: At): LoadError {
  const failed = side === 'source' ? 'source-failed' : 'target-failed'
  const text = message ?? ''
  if (/\block\b/i.test(text) && /timeout|timed out|deadlock|abort/i.test(text))
    return new LoadError('try-again', `${at.where}: a lock was not to be had (${code}).`, at)
  const free = sqlState?.startsWith('42') === true || code.startsWith('00')
  return new LoadError(failed, free ? `${at.where}: ${names(text)} (${code}).` : `${at.where}: Snowflake answers error ${code}.`, at)
}

/** In one line, without its full stop. */
function names(message = ''): string {
  const line = message.replace(/\s+/g, ' ').trim().replace(/\.$/, '')
  return line.length > 300 ? `${line.slice(0, 299)}…` : line
}

/** Column and row of a refused value, as COPY INTO names them. */
function place(message = ''): string {
  const column = /column\s+"?[^"[\]\s]*"?\["?([^"\]]+?)"?:\d+\]/i.exec(message)?.[1]
  const row = /\bRow\s+(\d+)/.exec(message)?.[1]
  return `${column === undefined ? '' : ` in column "${column}"`}${row === undefined ? '' : `, row ${row} of its file`}`
}

/** A cause without what quotes rows or secrets; with the number of the statement, by which Snowflake's history is searched. */
function quiet({ code, data }: DriverError): Error {
  const id = data?.queryId
  return new Error(`driver error${code === undefined ? '' : ` ${code}`}${id === undefined ? '' : `, query ${id}`}`)
}
