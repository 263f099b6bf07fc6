// Streams of a Snowflake (emulated) into another schema of the same one: a merged table, and a change table.

import { afterAll, expect, test } from 'vitest'
import { freshSchema, startSnowflake } from '../emulated.ts'
import { ORDERS, startStreaming } from './streaming.ts'

const server = await startSnowflake()
afterAll(() => server.stop())

test.each(['merge', 'append'])('%s', async (write) => {
  const staging = await freshSchema(server)
  await using all = await startStreaming(server, { more: { write, target: { connection: 'snow', schema: staging.name } } })
  const runs = async (): Promise<void> => expect((await all.loading.run()).error).toBeNull()
  await all.change(ORDERS, `INSERT INTO $.orders VALUES (1, 10, 'one'), (2, NULL, ''), (3, 30, NULL)`)
  await runs()
  await all.change(
    `INSERT INTO $.orders VALUES (4, 40, 'four')`,
    `UPDATE $.orders SET v = 11 WHERE id = 1`,
    `DELETE FROM $.orders WHERE id = 2`,
    `UPDATE $.orders SET id = 5 WHERE id = 3`,
  )
  await runs()
  await runs()
  if (write === 'merge')
    expect(await staging.query('SELECT id, v, s FROM $.orders ORDER BY id')).toEqual([
      ['1', '11', 'one'],
      ['4', '40', 'four'],
      ['5', '30', null],
    ])
  else
    expect(await staging.query('SELECT _tidemark_op, count(*) FROM $.orders GROUP BY 1 ORDER BY 1')).toEqual([
      ['delete', '1'],
      ['insert', '1'],
      ['read', '3'],
      ['update', '2'],
    ])
})
