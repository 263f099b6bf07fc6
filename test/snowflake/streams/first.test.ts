// Streams of Snowflake (emulated) into Postgres and DuckDB: the first rows, changes of every kind, and runs that were killed.

import { afterAll, describe, expect, test } from 'vitest'
import { LOG_CRASH_POINTS } from '../../../src/engine/crash-point.ts'
import { TARGET_KINDS } from '../../servers/loading.ts'
import { startSnowflake } from '../emulated.ts'
import { loads, ORDERS, startStreaming } from './streaming.ts'

const server = await startSnowflake()
afterAll(() => server.stop())

describe.each(TARGET_KINDS)('into %s', (target) => {
  test('first rows, then changes', async () => {
    await using all = await startStreaming(server, { target })
    await all.change(ORDERS, `INSERT INTO $.orders VALUES (1, 10, 'one'), (2, NULL, ''), (3, 30, NULL)`)
    await loads(all)
    await all.change(
      `INSERT INTO $.orders VALUES (4, 40, 'four')`,
      `UPDATE $.orders SET v = 11 WHERE id = 1`,
      `DELETE FROM $.orders WHERE id = 2`,
      `UPDATE $.orders SET id = 5 WHERE id = 3`,
    )
    await loads(all)
    await loads(all)
    expect(await all.target()).toEqual(['1|11|one', '4|40|four', '5|30|(null)'])
  })

  test.for(LOG_CRASH_POINTS)('killed at %s, first with the copy and then with changes', async (point, { expect: look }) => {
    await using all = await startStreaming(server, { target })
    await all.change(ORDERS, `INSERT INTO $.orders SELECT SEQ4(), SEQ4(), 'first' FROM TABLE(GENERATOR(ROWCOUNT => 3000))`)
    const first = await all.loading.cli(['run'], { ...all.env, TIDEMARK_CRASH_AT: point })
    look({ point, signal: first.signal }).toEqual({ point, signal: IN_COPY.includes(point) ? 'SIGKILL' : null })
    await all.change(
      `INSERT INTO $.orders SELECT SEQ4() + 3000, SEQ4(), 'later' FROM TABLE(GENERATOR(ROWCOUNT => 500))`,
      `UPDATE $.orders SET v = -v WHERE MOD(id, 3) = 0`,
    )
    await loads(all)
    await all.change(
      `DELETE FROM $.orders WHERE MOD(id, 7) = 0`,
      `UPDATE $.orders SET id = id + 10000 WHERE MOD(id, 5) = 0`,
      `INSERT INTO $.orders VALUES (7, 7, 'again')`,
    )
    const second = await all.loading.cli(['run'], { ...all.env, TIDEMARK_CRASH_AT: point })
    look({ point, signal: second.signal }).toEqual({ point, signal: IN_CHANGES.includes(point) ? 'SIGKILL' : null })
    await all.change(`DELETE FROM $.orders WHERE id = 7`, `INSERT INTO $.orders VALUES (14, 14, 'last')`)
    await loads(all)
  })
})

const IN_COPY: readonly string[] = [
  'observed',
  'log-begun',
  'stage-begun',
  'chunk-read',
  'chunk-staged',
  'before-commit',
  'after-commit',
  'slice-done',
]
const IN_CHANGES: readonly string[] = ['changes-applied', 'before-commit', 'after-commit', 'slice-done']
