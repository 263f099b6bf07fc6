// Errors of the client library and of brokers → tidemark's. The name that the broker gives decides; the library's messages and causes
// do not pass, since nobody knows what they quote.

import { type ErrorCode, LoadError } from '../../core/errors.ts'

/** What is looked at: errors of the library are trees. */
interface ClientError {
  readonly message?: string
  readonly code?: string
  /** The broker's name of the error. */
  readonly apiId?: string
  readonly cause?: unknown
  readonly errors?: readonly unknown[]
}

const BY_NAME: Readonly<Record<string, ErrorCode>> = {
  SASL_AUTHENTICATION_FAILED: 'authentication-failed',
  UNSUPPORTED_SASL_MECHANISM: 'authentication-failed',
  ILLEGAL_SASL_STATE: 'authentication-failed',
  TOPIC_AUTHORIZATION_FAILED: 'missing-privilege',
  CLUSTER_AUTHORIZATION_FAILED: 'missing-privilege',
  UNKNOWN_TOPIC_OR_PARTITION: 'missing-table',
  UNSUPPORTED_VERSION: 'unsupported-server',
}

const GRANTS = 'Allow the user to Describe and Read the topics of the pipeline; no group is needed.'

/** Any of these says that leaders have moved, or that a broker is only just there: looking again helps. */
const PASSING = new Set([
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_OR_FOLLOWER',
  'REPLICA_NOT_AVAILABLE',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_LEADER_EPOCH',
  'BROKER_NOT_AVAILABLE',
  'REQUEST_TIMED_OUT',
  'NETWORK_EXCEPTION',
  'KAFKA_STORAGE_ERROR',
  'OFFSET_NOT_AVAILABLE',
  'FETCH_SESSION_ID_NOT_FOUND',
  'INVALID_FETCH_SESSION_EPOCH',
  'FETCH_SESSION_TOPIC_ID_ERROR',
  'INCONSISTENT_TOPIC_ID',
])

/** `what`: the connection, as `source shop`. `connected` false: nothing has been read yet. */
export function kafkaError(thrown: unknown, what: string, connected = true): LoadError {
  if (thrown instanceof LoadError) return thrown
  const all = [...flatten(thrown)]
  const told = all.find(({ apiId }) => apiId !== undefined && BY_NAME[apiId] !== undefined)?.apiId
  const at = { where: what }
  const code = told === undefined ? undefined : BY_NAME[told]
  if (code !== undefined)
    return new LoadError(code, `${what}: the broker says ${told}.`, code === 'missing-privilege' ? { ...at, hint: GRANTS } : at)
  if (all.some(({ code }) => code === 'PLT_KFK_AUTHENTICATION'))
    return new LoadError('authentication-failed', `Cannot log in to ${what}.`, at)
  if (all.some(isOfTls)) return new LoadError('tls-failed', `TLS with ${what} failed.`, at)
  if (all.some(({ code }) => code === 'PLT_KFK_UNSUPPORTED_API'))
    return new LoadError('unsupported-server', `${what} is too old for what is asked of it.`, at)
  if (all.some(({ apiId }) => apiId !== undefined && PASSING.has(apiId)) || all.some(isOfNetwork)) return unreachable(all, what, connected)
  const name = all.find(({ apiId }) => apiId !== undefined)?.apiId
  return new LoadError('source-failed', `${what}: ${name === undefined ? 'the client failed' : `the broker says ${name}`}.`, {
    ...at,
    cause: new Error(all.find(({ code }) => code !== undefined)?.code ?? 'client error'),
  })
}

/** May the same be asked again soon? */
export function isPassing(error: LoadError): boolean {
  return error.code === 'unreachable' || error.code === 'connection-lost'
}

function unreachable(all: readonly ClientError[], what: string, connected: boolean): LoadError {
  const names = new Set(
    all.flatMap(({ code, apiId }) => (apiId !== undefined ? [apiId] : code !== undefined && /^E[A-Z_]+$/.test(code) ? [code] : [])),
  )
  const why = names.size === 0 ? '' : ` (${[...names].join(', ')})`
  return connected
    ? new LoadError('connection-lost', `The connection to ${what} broke${why}.`, { where: what })
    : new LoadError('unreachable', `Cannot reach any broker of ${what}${why}.`, {
        where: what,
        hint: 'Check `brokers`, that each of them advertises an address that can be reached from here (`advertised.listeners`), and whether they want `sasl`.',
      })
}

function isOfNetwork({ code }: ClientError): boolean {
  return code === 'PLT_KFK_NETWORK' || code === 'PLT_KFK_UNEXPECTED_CORRELATION_ID'
}

function isOfTls({ code = '', message = '' }: ClientError): boolean {
  return (
    /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|EPROTO|HOSTNAME_MISMATCH)/.test(code) ||
    /requires TLS|TLS handshake/.test(message)
  )
}

function* flatten(thrown: unknown): Generator<ClientError> {
  if (typeof thrown !== 'object' || thrown === null) return
  const error = thrown as ClientError
  yield error
  for (const inner of error.errors ?? []) yield* flatten(inner)
  yield* flatten(error.cause)
}
