// PostgreSQL's and the socket's errors → tidemark's. SQLSTATE decides. The server's DETAIL, and its message where that
// quotes data (class 22), never pass: they hold values of rows.

import { type ErrorCode, LoadError } from '../../core/errors.ts'
import { identifier, tableIdentifier } from '../../sql/quote.ts'

/** The fields of a driver error that are looked at. */
interface DriverError {
  readonly message?: string
  readonly code?: string
  readonly where?: string
  readonly column?: string
  readonly constraint?: string
  readonly schema?: string
  readonly table?: string
}

const BY_STATE: Readonly<Record<string, ErrorCode>> = {
  '28P01': 'authentication-failed',
  '28000': 'authentication-failed',
  '3D000': 'missing-database',
  '3F000': 'missing-table',
  '42P01': 'missing-table',
  '42703': 'missing-column',
  '42501': 'missing-privilege',
  '25006': 'read-only-target',
  '53100': 'target-full',
  '53300': 'unreachable',
  '57P01': 'connection-lost',
  '57P02': 'connection-lost',
  '57P03': 'unreachable',
  '40001': 'try-again',
  '40P01': 'try-again',
  '55P03': 'try-again',
  '57014': 'try-again',
  '42P07': 'state-conflict',
  '23505': 'duplicate-key',
  '23502': 'constraint-violated',
  '23503': 'constraint-violated',
  '23514': 'constraint-violated',
  '23P01': 'constraint-violated',
  // A value that is too large for an index of its column.
  '54000': 'value-refused',
  '0A000': 'unsupported-server',
}

const SOCKET_LOST = new Set(['ECONNRESET', 'EPIPE', 'ETIMEDOUT'])
const SOCKET_UNREACHABLE = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOENT', 'EACCES'])

/** `connected` false: the error came while connecting. `what` names the connection: `source shop`. */
export function postgresError(thrown: unknown, what: string, side: 'source' | 'target', connected = true): LoadError {
  if (thrown instanceof LoadError) return thrown
  const error = thrown as DriverError
  const message = error.message ?? String(thrown)
  const code = error.code ?? ''
  const at = { where: what, cause: quiet(error) }
  // Not for another try: what stands there does not speak of sessions as a server does.
  if (!connected && code === '08P01')
    return new LoadError('unsupported-server', `${what} refuses the connection: ${message}.`, {
      ...at,
      hint: 'If a pooler is in between, give the connection the address of the server itself.',
    })
  if (/^[0-9A-Z]{5}$/.test(code) && !code.startsWith('E')) return fromState(error, code, side, at)
  if (isTlsError(code, message)) return new LoadError('tls-failed', `TLS with ${what} failed: ${message}.`, at)
  if (SOCKET_UNREACHABLE.has(code) || (!connected && (SOCKET_LOST.has(code) || /terminated|timeout/.test(message))))
    return new LoadError('unreachable', `Cannot reach ${what}: ${message}.`, at)
  if (SOCKET_LOST.has(code) || /terminated|not queryable|ended|timeout/.test(message))
    return new LoadError('connection-lost', `The connection to ${what} broke: ${message}.`, at)
  if (/SASL|SCRAM|password|authentication/i.test(message))
    return new LoadError('authentication-failed', `Cannot log in to ${what}: ${message}.`, at)
  return new LoadError(side === 'source' ? 'source-failed' : 'target-failed', `${what}: ${message}.`, at)
}

/** While the log is read, these say more. */
const BY_STATE_OF_LOG: Readonly<Record<string, ErrorCode>> = {
  '55006': 'state-conflict',
  // No such slot or publication; a slot that was invalidated; a file of the log that was removed.
  '42704': 'log-lost',
  '55000': 'log-lost',
  '58P01': 'log-lost',
}

export function logError(thrown: unknown, what: string): LoadError {
  const error = postgresError(thrown, what, 'source')
  const code = BY_STATE_OF_LOG[(thrown as DriverError).code ?? '']
  return code === undefined ? error : new LoadError(code, error.message, { where: what, cause: thrown })
}

function fromState(error: DriverError, state: string, side: 'source' | 'target', at: { where: string; cause: unknown }): LoadError {
  const message = (error.message ?? '').replace(/\.$/, '')
  if (state.startsWith('22')) return valueRefused(error, state, at)
  const code = BY_STATE[state] ?? (state.startsWith('08') ? 'connection-lost' : side === 'source' ? 'source-failed' : 'target-failed')
  if (code === 'duplicate-key' && /pg_(type|class|namespace)_/.test(message))
    return new LoadError('state-conflict', `Another run is making the same table in ${at.where}.`, at)
  if (side === 'source' && code === 'read-only-target')
    return new LoadError('source-failed', `${at.where}: a condition or query of the pipeline tries to write (${state}).`, {
      ...at,
      hint: 'A source is only read.',
    })
  if (side === 'source' && code === 'state-conflict') return new LoadError('source-failed', `${at.where}: ${message} (${state}).`, at)
  return new LoadError(code, `${at.where}: ${message} (${state}).`, state === '23503' ? { ...at, hint: foreignKeyAdvice(error) } : at)
}

function foreignKeyAdvice({ schema, table, constraint }: DriverError): string {
  if (table === undefined || constraint === undefined) return 'Make the foreign key DEFERRABLE, or drop it.'
  const alter = `ALTER TABLE ${tableIdentifier({ schema: schema ?? null, name: table })}`
  const name = identifier(constraint)
  return `Where one pipeline writes both tables, let it be checked at the commit: ${alter} ALTER CONSTRAINT ${name} DEFERRABLE; otherwise ${alter} DROP CONSTRAINT ${name};`
}

function valueRefused(error: DriverError, state: string, at: { where: string; cause: unknown }): LoadError {
  const place = /line (\d+)(?:, column ([^:]+))?/.exec(error.where ?? '')
  const column = error.column ?? place?.[2]
  const words: Record<string, string> = {
    '22001': 'a text is too long for its column',
    '22003': 'a number is out of range',
    '22008': 'a date or time is out of range',
    '22021': 'a text has bytes that its encoding does not allow',
    '22P05': "a text has a character that the target can't store",
  }
  const why = words[state] ?? 'a value does not fit its type'
  const columnText = column === undefined ? '' : ` in column ${column.startsWith('"') ? column : `"${column}"`}`
  const row = place?.[1] === undefined ? '' : `, row ${place[1]} of the slice`
  return new LoadError('value-refused', `${at.where}: ${why}${columnText}${row} (${state}).`, at)
}

function isTlsError(code: string, message: string): boolean {
  return /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|EPROTO|HOSTNAME_MISMATCH)/.test(code) || /SSL|certificate/i.test(message)
}

/** A cause without the fields that quote rows or passwords. */
function quiet(error: DriverError): Error {
  const cause = new Error(error.code === undefined ? 'driver error' : `driver error ${error.code}`)
  return cause
}
