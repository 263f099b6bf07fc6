// What Snowflake refuses (emulated): each has its name, says what to do, and leaves the target as it was.

import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { addOrders, makeOrders } from '../servers/orders-table.ts'
import { startSnowflake } from './emulated.ts'
import { startSnowflakeLoading } from './loading.ts'

const server = await startSnowflake()
const folder = mkdtempSync(join(tmpdir(), 'tidemark-key-'))
afterAll(async () => {
  rmSync(folder, { recursive: true })
  await server.stop()
})
afterEach(() => server.faults.clear())

const ONCE = { retries: 0 }

describe('logins', () => {
  const other = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
  const locked = createPrivateKey(server.privateKey).export({
    type: 'pkcs8',
    format: 'pem',
    cipher: 'aes-256-cbc',
    passphrase: 'open sesame',
  })
  const file = join(folder, 'key.p8')
  writeFileSync(file, locked)
  const without = { password: undefined }

  test.each([
    ['a key as text', { private_key: server.privateKey }],
    ['a key file with a passphrase', { private_key: file, private_key_passphrase: 'open sesame' }],
    ['an OAuth token', { oauth_token: server.oauthToken }],
    ['a programmatic token', { programmatic_token: server.programmaticToken }],
  ])('%s', async (_, login) => {
    await using all = await startSnowflakeLoading(server, undefined, { ...without, ...login })
    await makeOrders(all.loading.source, 5)
    expect(await all.loading.run({}, ONCE)).toMatchObject({ error: null, rows: { inserted: 5 } })
  })

  test.each([
    ['a key of somebody else', { private_key: other.privateKey }, /key is not one of the user/],
    ['a key without its passphrase', { private_key: file }, /can't be read/],
    ['a key file that is missing', { private_key: join(folder, 'none.p8') }, /can't be read \(ENOENT\)/],
    ['a wrong OAuth token', { oauth_token: 'canary' }, /token/],
    ['a wrong programmatic token', { programmatic_token: 'canary' }, /token/],
  ])('%s is refused', async (_, login, says) => {
    await using all = await startSnowflakeLoading(server, undefined, { ...without, ...login })
    await makeOrders(all.loading.source, 5)
    const { error } = await all.loading.run({}, ONCE)
    expect(error?.code).toBe('authentication-failed')
    expect(error?.message).toMatch(says)
    expect(JSON.stringify(error)).not.toContain('canary')
  })

  test('a network policy is named', async () => {
    await using all = await startSnowflakeLoading(server)
    await makeOrders(all.loading.source, 5)
    server.faults.add({ kind: 'network-policy', times: 20 })
    const { error } = await all.loading.run({}, ONCE)
    expect(error).toMatchObject({ code: 'authentication-failed', message: expect.stringContaining('network policy') })
  })
})

describe('statements', () => {
  test.each([
    ['a suspended warehouse', { kind: 'suspended-warehouse' }, 'warehouse-unavailable', /WAREHOUSE/],
    ['a statement that takes too long', { kind: 'statement-timeout', sql: /^(COPY|MERGE)/ }, 'statement-timeout', /STATEMENT_TIMEOUT/],
  ] as const)('%s', async (_, fault, code, advice) => {
    await using all = await startSnowflakeLoading(server)
    await makeOrders(all.loading.source, 5)
    await all.loading.run()
    await addOrders(all.loading.source, 6, 9)
    const before = await all.target()
    server.faults.add(fault)
    const { error } = await all.loading.run({}, ONCE)
    expect(error?.code).toBe(code)
    expect(error?.hint).toMatch(advice)
    server.faults.clear()
    expect(await all.target()).toEqual(before)
    expect((await all.loading.run()).rows.inserted).toBe(4)
  })

  test('a missing grant: the GRANT to paste', async () => {
    await using all = await startSnowflakeLoading(server)
    await makeOrders(all.loading.source, 5)
    await all.loading.run()
    await addOrders(all.loading.source, 6, 9)
    const before = await all.target()
    server.faults.add({ kind: 'missing-grant', object: `RAW.${all.schema.name.toUpperCase()}.ORDERS`, privilege: 'INSERT' })
    const { error } = await all.loading.run({}, ONCE)
    expect(error).toMatchObject({ code: 'missing-privilege', hint: expect.stringMatching(/^GRANT .* ON TABLE ORDERS TO ROLE/) })
    server.faults.clear()
    expect(await all.target()).toEqual(before)
  })

  test('a value that Snowflake has no room for: nothing is written', async () => {
    await using all = await startSnowflakeLoading(server)
    const { source } = all.loading
    await makeOrders(source, 5)
    await source.run("ALTER TABLE orders ADD COLUMN seen date; UPDATE orders SET seen = '5874897-12-31' WHERE id = 3")
    const { error } = await all.loading.run({}, ONCE)
    expect(error?.code).toBe('value-refused')
    expect((await all.loading.state())?.epoch ?? 0n).toBe(0n)
  })
})

test('two first runs: one of them writes the first state', async () => {
  await using all = await startSnowflakeLoading(server, { orders: { write: 'append', late_rows: 'none' } })
  await makeOrders(all.loading.source, 300)
  const runs = await Promise.all([all.loading.run({}, ONCE), all.loading.run({}, ONCE), all.loading.run({}, ONCE)])
  const codes = runs.map(({ error }) => error?.code ?? 'loaded').sort()
  expect(codes.filter((code) => code === 'loaded')).toHaveLength(1)
  expect(codes.filter((code) => code !== 'loaded').every((code) => code === 'state-conflict' || code === 'try-again')).toBe(true)
  expect(await all.target()).toEqual(await all.source())
  expect(await all.schema.query('SELECT count(*) FROM $.pipeline_watermarks')).toEqual([['1']])
})
