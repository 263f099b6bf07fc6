import { AuthenticationError, MultipleErrors, NetworkError, ResponseError, UnsupportedApiError, UserError } from '@platformatic/kafka'
import { expect, test } from 'vitest'
import { LoadError } from '../../core/errors.ts'
import { isPassing, kafkaError } from './errors.ts'

const refused = Object.assign(new Error('connect ECONNREFUSED secret'), { code: 'ECONNREFUSED' })
const network = new MultipleErrors('secret', [new NetworkError('secret', { cause: refused })])
const said = (code: number) => new ResponseError(1, 17, { '/responses/0': [code, 'secret'] }, {})

test.each([
  ['no broker answers', network, false, 'unreachable', /^Cannot reach any broker of source shop \(ECONNREFUSED\)\.$/],
  ['a broker is gone', network, true, 'connection-lost', /^The connection to source shop broke \(ECONNREFUSED\)\.$/],
  ['leaders have moved', said(6), true, 'connection-lost', /NOT_LEADER_OR_FOLLOWER/],
  ['a session of fetches is over', said(70), true, 'connection-lost', /FETCH_SESSION_ID_NOT_FOUND/],
  ['a wrong password', new AuthenticationError('secret'), false, 'authentication-failed', /^Cannot log in to source shop\.$/],
  ['another way to log in', said(33), false, 'authentication-failed', /UNSUPPORTED_SASL_MECHANISM/],
  ['no privilege', said(29), true, 'missing-privilege', /TOPIC_AUTHORIZATION_FAILED/],
  [
    'TLS is wanted',
    new MultipleErrors('secret', [new UserError('Broker requires TLS.')]),
    false,
    'tls-failed',
    /^TLS with source shop failed\.$/,
  ],
  ['an old server', new UnsupportedApiError('secret'), false, 'unsupported-server', /too old/],
  ['any other word of a broker', said(42), true, 'source-failed', /^source shop: the broker says INVALID_REQUEST\.$/],
  ['any other failure', new TypeError('secret'), true, 'source-failed', /^source shop: the client failed\.$/],
  ['no error at all', 'secret', true, 'source-failed', /^source shop: the client failed\.$/],
] as const)('%s', (_name, thrown, connected, code, message) => {
  const error = kafkaError(thrown, 'source shop', connected)
  expect(error).toMatchObject({ code, message: expect.stringMatching(message), where: 'source shop' })
  expect(isPassing(error)).toBe(code === 'unreachable' || code === 'connection-lost')
  // Nobody knows what the library's own words quote.
  expect(`${error.message} ${String(error.cause)} ${error.hint}`).not.toContain('secret')
})

test('an error of our own stays what it is', () => {
  const own = new LoadError('log-lost', 'gone')
  expect(kafkaError(own, 'source shop')).toBe(own)
})
