// Cursor values are never code, whatever they look like and wherever they come from; and names of pipelines are no more than names.

import { expect, test } from 'vitest'
import { same } from '../servers/compare-tables.ts'
import { type Loading, startLoading } from '../servers/loading.ts'
import { addOrders, makeOrders } from '../servers/orders-table.ts'

async function victimThere(loading: Loading): Promise<void> {
  expect(await loading.source.rows('SELECT name FROM victim')).toEqual([{ name: 'alive' }])
  expect(await loading.target.rows('SELECT name FROM victim')).toEqual([{ name: 'alive' }])
}

async function makeVictims(loading: Loading): Promise<void> {
  const statement = "CREATE TABLE victim (name text); INSERT INTO victim VALUES ('alive')"
  await loading.source.run(statement)
  await loading.target.run(statement)
}

const VALUES = [
  "2024-01-01'; DROP TABLE victim; --",
  "'; DROP TABLE victim; --",
  "2024-01-01'::timestamptz; DROP TABLE victim; --",
  '\\',
  "\\'; DROP TABLE victim; --",
  '$1',
  "2024-01-01\0'; x",
]

test.each(VALUES.slice(0, 6))('as a value on the command line: %j', async (value) => {
  await using loading = await startLoading()
  await makeOrders(loading.source, 5)
  await makeVictims(loading)
  await loading.run()
  for (const args of [
    ['run', '--from', value],
    ['run', '--to', value],
    ['plan', '--from', value],
    ['watermark', 'set', 'orders', value, '--yes'],
    ['watermark', 'rewind', 'orders', '--to', value, '--yes'],
  ]) {
    const { exit, text } = await loading.cli(args)
    expect({ args, exit, named: text.includes('bad-value') || text.includes('bad-usage') }).toEqual({ args, exit: 2, named: true })
  }
  await victimThere(loading)
  expect(await loading.compare()).toEqual(same(5))
})

test.each(VALUES)('as a stored position: %j', async (value) => {
  await using loading = await startLoading()
  await makeOrders(loading.source, 5)
  await makeVictims(loading)
  await loading.run()
  await loading.target.client.query('UPDATE pipeline_watermarks SET position = $1', [JSON.stringify({ kind: 'watermark', value })])
  await addOrders(loading.source, 6, 7)
  const { error } = await loading.run()
  expect(error).not.toBeNull()
  await victimThere(loading)
  expect((await loading.run({ fullRefresh: true })).error).toBeNull()
  expect(await loading.compare()).toEqual(same(7))
})

test('a horizon that is no number is refused', async () => {
  await using loading = await startLoading({ pipelines: { orders: { late_rows: 'sweep' } } })
  await makeOrders(loading.source, 5)
  await loading.run()
  await loading.target.run(
    `UPDATE pipeline_watermarks SET position = '{"kind":"watermark","value":"2024-01-01","horizon":"1) OR true; --"}'`,
  )
  expect((await loading.run()).error?.code).toBe('state-corrupted')
})

test('names of pipelines are letters, digits and a few signs, whatever they stand for', async () => {
  await using loading = await startLoading()
  for (const name of ["o'; DROP TABLE victim; --", 'a b', '', 'x'.repeat(101), '__proto__']) {
    loading.pipelines(Object.fromEntries([[name, {}]]))
    const { exit, text } = await loading.cli(['run'])
    expect({ name, exit, code: text.includes('bad-project') }).toEqual({ name, exit: 2, code: true })
  }
})
