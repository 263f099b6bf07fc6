import { expect, test } from 'vitest'
import type { ErrorCode } from '../../core/errors.ts'
import { snowflakeError } from './errors.ts'

const failed = (code: string, message: string, more: object = {}) => Object.assign(new Error(message), { code, ...more })

const LOGINS: readonly (readonly [string, string, ErrorCode, RegExp])[] = [
  ['390100', 'Incorrect username or password was specified.', 'authentication-failed', /user or password is wrong/],
  ['390144', 'JWT token is invalid. [0ce9eb56]', 'authentication-failed', /key is not one of the user/],
  ['390318', 'OAuth access token expired. [0ce9eb56]', 'authentication-failed', /token has expired/],
  ['394400', 'Programmatic access token is invalid.', 'authentication-failed', /token is not valid, or has expired/],
  ['390422', 'Incoming request with IP/Token 10.1.2.3 is not allowed to access Snowflake.', 'authentication-failed', /network policy/],
  ['390999', 'Failed by network policy X', 'authentication-failed', /network policy/],
  ['390189', "Role 'LOADER' specified in the connect string does not exist or not authorized.", 'missing-privilege', /role/],
  ['401001', 'Network error. Could not reach Snowflake.', 'unreachable', /Cannot reach target wh/],
]

test.each(LOGINS)('a login refused with %s: %s', (code, message, expected, says) => {
  const error = snowflakeError(failed(code, message), 'target wh', 'target', false)
  expect(error.code).toBe(expected)
  expect(error.message).toMatch(says)
})

const STATEMENTS: readonly (readonly [string, string, string, ErrorCode, RegExp, RegExp])[] = [
  [
    '003001',
    '42501',
    "SQL access control error:\nInsufficient privileges to operate on table 'ORDERS'",
    'missing-privilege',
    /ORDERS/,
    /^GRANT SELECT, INSERT.* ON TABLE ORDERS TO ROLE/,
  ],
  [
    '003001',
    '42501',
    "SQL access control error:\nInsufficient privileges to operate on schema 'PUBLIC'",
    'missing-privilege',
    /PUBLIC/,
    /^GRANT USAGE, CREATE TABLE ON SCHEMA PUBLIC/,
  ],
  [
    '003001',
    '42501',
    "SQL access control error:\nInsufficient privileges to operate on warehouse 'LOAD'",
    'missing-privilege',
    /LOAD/,
    /^GRANT USAGE, OPERATE ON WAREHOUSE LOAD/,
  ],
  [
    '002003',
    '42S02',
    "SQL compilation error:\nObject 'RAW.PUBLIC.ORDERS' does not exist or not authorized.",
    'missing-table',
    /RAW\.PUBLIC\.ORDERS/,
    /GRANT .* ON TABLE RAW\.PUBLIC\.ORDERS/,
  ],
  [
    '002003',
    '02000',
    "SQL compilation error:\nDatabase 'RAW' does not exist or not authorized.",
    'missing-database',
    /RAW/,
    /GRANT USAGE ON DATABASE RAW/,
  ],
  [
    '000606',
    '57P03',
    'No active warehouse selected in the current session.',
    'warehouse-unavailable',
    /no warehouse/,
    /GRANT USAGE, OPERATE ON WAREHOUSE/,
  ],
  [
    '000630',
    '57014',
    'Statement reached its statement or warehouse timeout of 10 second(s) and was canceled.',
    'statement-timeout',
    /10 second/,
    /STATEMENT_TIMEOUT_IN_SECONDS/,
  ],
  ['000625', '57014', "Statement 'x' has locked table 'T' in transaction 1", 'try-again', /lock/, /again/],
  ['100090', '42P18', 'Duplicate row detected during DML action\nRow Values: ["canary"]', 'duplicate-key', /several staged rows/, /key/],
  ['000904', '42000', "SQL compilation error: error line 1 at position 7\ninvalid identifier 'NOPE'", 'missing-column', /NOPE/, /spelling/],
  [
    '001003',
    '42000',
    "SQL compilation error:\nsyntax error line 1 at position 0 unexpected 'x'.",
    'target-failed',
    /syntax error/,
    /message/,
  ],
  ['407002', '08003', 'Unable to perform operation using terminated connection.', 'connection-lost', /broke/, /again/],
]

test.each(STATEMENTS)('a statement that fails with %s (%s): %s', (code, sqlState, message, expected, says, advice) => {
  const error = snowflakeError(failed(code, message, { sqlState, data: { queryId: '01b2' } }), 'target wh', 'target')
  expect(error.code).toBe(expected)
  expect(error.message).toMatch(says)
  expect(error.hint).toMatch(advice)
  expect(String(error.cause)).toContain('query 01b2')
})

test('a refused value is named by column and row, and not shown', () => {
  const message = `Numeric value 'canary' is not recognized\n  File '@~/x.csv.gz', line 3, character 4\n  Row 3, column "ORDERS"["AMOUNT":2]\n  If you would like to continue loading`
  const error = snowflakeError(failed('100038', message, { sqlState: '22018' }), 'target wh', 'target')
  expect(error.code).toBe('value-refused')
  expect(error.message).toContain('in column "AMOUNT", row 3 of its file')
  expect(`${error.message}${error.hint}${error.cause}`).not.toContain('canary')
})

test('what is not known passes no message that may quote values', () => {
  const error = snowflakeError(failed('100999', "Value 'canary' is odd", { sqlState: '22000' }), 'source wh', 'source')
  expect(error.code).toBe('source-failed')
  expect(error.message).toBe('source wh: Snowflake answers error 100999.')
})
