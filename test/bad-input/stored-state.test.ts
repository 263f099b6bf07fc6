// A stored position that is of no use any more: written by a newer version, broken, of another definition, or moved by a rival.

import { expect, test } from 'vitest'
import { exitCodeOf } from '../../src/cli/exit-code.ts'
import { CONNECTORS } from '../../src/connectors/registry.ts'
import type { FindConnector } from '../../src/project/connections.ts'
import { TARGET_KINDS } from '../servers/loading.ts'
import { atTarget, attempt, checkError, GOODS, MAKE_GOODS, MORE_GOODS, type Refusal, refused, startGoods, succeed } from './refusal.ts'

const COLUMNS = ['id', 'note']

const spoiled: [what: string, sql: string, refusal: Refusal][] = [
  [
    'a newer version',
    'UPDATE pipeline_watermarks SET state_format = 99',
    { code: 'state-newer', names: ['pipeline goods', '99', 'Update'] },
  ],
  ...[
    ['no JSON', 'not json', 'is not JSON'],
    ['no object', '[1]', 'is not an object'],
    ['an unknown kind', '{"kind":"tide"}', 'no known kind'],
    ['an unknown part', '{"kind":"watermark","value":"1","moon":"full"}', '"moon"'],
    ['no value', '{"kind":"watermark"}', 'has no value'],
    ['a broken horizon', '{"kind":"watermark","value":null,"horizon":"far"}', 'horizon'],
  ].map(([what = '', text = '', why = '']): (typeof spoiled)[number] => [
    what,
    `UPDATE pipeline_watermarks SET position = '${text}'`,
    { code: 'state-corrupted', names: ['position of pipeline goods', why, 'pipeline_history'] },
  ]),
  ['a negative epoch', 'UPDATE pipeline_watermarks SET epoch = -1', { code: 'state-corrupted', names: ['epoch of pipeline goods'] }],
  ['no target table', 'DROP TABLE goods', { code: 'target-missing', names: ['Pipeline goods', 'target table goods', '--full-refresh'] }],
]

test.each(TARGET_KINDS.flatMap((target) => spoiled.map((one) => [target, ...one] as const)))('%s, %s', async (target, _, sql, refusal) => {
  await using loading = await startGoods({}, { target })
  await succeed(loading)
  await loading.source.run(MORE_GOODS)
  await atTarget(loading, sql)
  await refused(loading, refusal)
})

test.each(TARGET_KINDS)('%s: a full refresh makes a missing target table again', async (target) => {
  await using loading = await startGoods({}, { target })
  await succeed(loading)
  await atTarget(loading, 'DROP TABLE goods')
  expect((await succeed(loading, { fullRefresh: true })).rows.inserted).toBe(5)
  expect(await loading.compare('goods', { columns: COLUMNS })).toMatchObject({ lost: [], surplus: [] })
})

test.each(TARGET_KINDS)('%s: a broken position is mended as the hint says', async (target) => {
  await using loading = await startGoods({}, { target })
  await succeed(loading)
  await loading.source.run(MORE_GOODS)
  await atTarget(loading, "UPDATE pipeline_watermarks SET position = 'not json'")
  await refused(loading, { code: 'state-corrupted', names: ['to_position', 'pipeline_history'] })
  await atTarget(
    loading,
    `UPDATE pipeline_watermarks SET position = (SELECT to_position FROM pipeline_history ORDER BY epoch DESC LIMIT 1)`,
  )
  expect((await succeed(loading)).rows.inserted).toBe(6)
})

test.each(TARGET_KINDS)('%s: a state row that was taken away is missed, until the history goes too', async (target) => {
  await using loading = await startGoods({}, { target })
  await succeed(loading)
  await loading.source.run(MORE_GOODS)
  await atTarget(loading, 'DELETE FROM pipeline_watermarks')
  const refusal: Refusal = { code: 'state-corrupted', names: ['pipeline goods', 'epoch 1', 'pipeline_history', 'pipeline_watermarks'] }
  await refused(loading, refusal)
  await refused(loading, refusal, { fullRefresh: true })
  await atTarget(loading, 'DELETE FROM pipeline_history')
  expect((await succeed(loading, { fullRefresh: true })).rows).toMatchObject({ inserted: 6, unchanged: 5 })
})

const changes: [what: string, pipeline: object, source: string, word: string, rows: number][] = [
  ['another where', { where: 'id > 2' }, '', 'where', 3],
  ['another cursor', { cursor: 'id' }, '', 'cursor', 5],
  ['another zone', { cursor_time_zone: 'Europe/Berlin' }, '', 'cursor_time_zone', 5],
  ['a table made again', {}, `DROP TABLE goods; ${MAKE_GOODS}; DELETE FROM goods WHERE id = 1`, 'source server or table', 4],
  ['another target table', { target: { table: 'wares' } }, '', 'target table', 5],
]

test.each(TARGET_KINDS.flatMap((target) => changes.map((one) => [target, ...one] as const)))(
  '%s, %s: refused until a full refresh',
  async (target, _, pipeline, sql, word, rows) => {
    await using loading = await startGoods({}, { target })
    await succeed(loading)
    loading.pipelines({ goods: { ...GOODS, ...pipeline } })
    await loading.source.run(sql)
    await refused(loading, { code: 'definition-changed', names: ['Pipeline goods', `another ${word} than`, '--full-refresh'] })
    await succeed(loading, { fullRefresh: true })
    expect((await succeed(loading)).rows).toMatchObject({ inserted: 0, updated: 0, deleted: 0 })
    const targetTable = word === 'target table' ? 'wares' : 'goods'
    const where = word === 'where' ? 'id > 2' : 'true'
    expect(await loading.compare('goods', { columns: COLUMNS, targetTable, where })).toEqual({ lost: [], surplus: [], rows })
  },
)

/** The built-in connectors, whose target lets a rival go first whenever a load begins. */
function overtaken(rival: () => Promise<unknown>): FindConnector {
  return async (type) => {
    const connector = await CONNECTORS[type]?.()
    if (connector === undefined) throw new Error(`no connector ${type}`)
    return {
      ...connector,
      target: async (config, name) => {
        const target = await connector.target?.(config, name)
        if (target === undefined) throw new Error(`no target of type ${type}`)
        const begin = target.begin.bind(target)
        target.begin = async (load) => {
          await rival()
          return await begin(load)
        }
        return target
      },
    }
  }
}

test.each(TARGET_KINDS)('%s: a rival that moves the watermark wins, and the run writes nothing', async (target) => {
  await using loading = await startGoods({}, { target })
  await succeed(loading)
  await loading.source.run(MORE_GOODS)
  const connector = overtaken(async () => {
    await using rival = await loading.open()
    await rival.setWatermark('goods', '2020-01-01 00:00:00+00')
  })
  const { result } = await attempt(loading, { connector })
  expect(result).toMatchObject({ status: 'conflict', rows: { read: 0, inserted: 0 } })
  checkError(result.error, { code: 'state-conflict', names: ['pipeline goods', 'Nothing is lost'] })
  expect(exitCodeOf([result])).toBe(5)
  await using project = await loading.open()
  expect((await project.history('goods')).map(({ cause, epoch }) => [cause, epoch])).toEqual([
    ['set', 2n],
    ['run', 1n],
  ])
  expect((await succeed(loading)).rows).toMatchObject({ inserted: 6, unchanged: 5 })
})

test.each(TARGET_KINDS)('%s: of two first runs one wins, and the other writes nothing', async (target) => {
  await using loading = await startGoods({}, { target })
  const { result } = await attempt(loading, { connector: overtaken(() => succeed(loading)) })
  checkError(result.error, { code: 'state-conflict', names: ['Nothing is lost'] })
  expect(exitCodeOf([result])).toBe(5)
  expect(await loading.state()).toMatchObject({ epoch: 1n })
  expect(await loading.compare('goods', { columns: COLUMNS })).toEqual({ lost: [], surplus: [], rows: 5 })
})
