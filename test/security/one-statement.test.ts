// A condition or query of the user's own is part of one statement in a read-only transaction: it can't end the statement, and so
// not the transaction either.

import { expect, test } from 'vitest'
import { startLoading } from '../servers/loading.ts'
import { makeOrders } from '../servers/orders-table.ts'

const DEED = 'COMMIT; SET default_transaction_read_only = off; COMMIT; BEGIN; DELETE FROM victim; COMMIT'

test.each([
  ['a condition', { where: `true)) AS x; ${DEED}; SELECT EXISTS (SELECT 1 WHERE (true` }],
  [
    'a query',
    {
      source: { query: `SELECT * FROM orders) AS q; ${DEED}; SELECT * FROM (SELECT * FROM orders` },
      target: { table: 'orders' },
      key: ['id'],
    },
  ],
])('%s that brings further statements is refused, and none of them runs', async (_what, pipeline) => {
  await using loading = await startLoading({ pipelines: { orders: pipeline } })
  await makeOrders(loading.source, 20)
  await loading.source.run('CREATE INDEX ON orders (updated_at); CREATE TABLE victim AS SELECT 1 AS n')
  {
    await using project = await loading.open()
    expect((await project.check('orders')).some(({ severity }) => severity === 'error')).toBe(true)
    await expect(project.plan('orders')).rejects.toMatchObject({ code: 'source-failed' })
  }
  for (const request of [{}, { from: '2024-01-01', to: '2024-01-02' }, { fullRefresh: true }])
    expect((await loading.run(request)).error).toMatchObject({ code: 'source-failed' })
  expect(await loading.source.rows('SELECT n FROM victim')).toEqual([{ n: '1' }])
})
