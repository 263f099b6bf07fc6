// A source at work is not disturbed: no lock but a reader's; and rows that a condition leaves out are left out on every way.

import { expect, test } from 'vitest'
import { startLoading } from '../servers/loading.ts'
import { addOrders, makeOrders } from '../servers/orders-table.ts'

test('while it is read, only the lock of a reader is held, and writers go on', async () => {
  await using loading = await startLoading()
  await makeOrders(loading.source, 40_000)
  const modes = new Set<string>()
  let reading = true
  const locks = `SELECT mode FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE a.application_name = 'tidemark' AND l.relation = 'orders'::regclass`
  const watching = (async () => {
    while (reading) {
      for (const { mode } of await loading.source.rows(locks)) modes.add(mode ?? '')
      await loading.source.run('UPDATE orders SET paid = paid WHERE id = 1')
    }
  })()
  await loading.run()
  reading = false
  await watching
  expect([...modes]).toEqual(['AccessShareLock'])
})

test('where is honoured by a sweep and by every strategy', async () => {
  const pipelines = Object.fromEntries(
    ['merge', 'delete-insert', 'replace', 'append'].map((write) => [
      write,
      { write, target: { table: `"${write}"` }, where: "note IS DISTINCT FROM 'secret'" },
    ]),
  )
  await using loading = await startLoading({ pipelines })
  await makeOrders(loading.source, 10)
  await loading.source.run("UPDATE orders SET note = 'secret' WHERE id <= 4")
  await addOrders(loading.source, 11, 12, { at: "timestamptz '2024-05-01 00:00:00+00'" })
  await using project = await loading.open()
  await project.run([], { sweep: true })
  for (const write of Object.keys(pipelines))
    expect(await loading.target.rows(`SELECT count(*) AS n, min(id) AS least FROM "${write}"`)).toEqual([{ n: '8', least: '5' }])
})
