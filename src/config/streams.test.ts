// Pipelines that read streams of Snowflake: what becomes of them, and what a person is told of each mistake.

import { expect, test } from 'vitest'
import { LoadError } from '../core/errors.ts'
import { validateProject } from './validate-project.ts'

const connections = {
  snow: { type: 'snowflake', account: 'acme', user: 'LOADER', password: '${env:SECRET}', database: 'raw', warehouse: 'load' },
  wh: { type: 'duckdb', path: 'x' },
}
const source = { connection: 'snow', tables: ['shop.orders', 'shop.items'] }

const load = (more: object, over: object = {}) =>
  validateProject(
    { connections, pipelines: { orders: { pattern: 'cdc', source: { ...source, ...more }, target: { connection: 'wh' }, ...over } } },
    'p',
    { env: { SECRET: 'hunter2' } },
  )

function problems(more: object, over: object = {}): string[] {
  try {
    load(more, over)
  } catch (error) {
    if (!(error instanceof LoadError)) throw error
    return error.message.split('\n').map((line) => line.replace(/^p pipelines\.orders\./, ''))
  }
  throw new Error('the project was accepted')
}

test('everything that is written, and the defaults', () => {
  const all = { streams: { 'shop.orders': 'shop.orders_stream' }, keys: { 'shop.items': ['order_id', 'line'] }, append_only: true }
  expect(load(all).pipelines[0]).toMatchObject({
    source: {
      connection: 'snow',
      kafka: null,
      streams: {
        named: new Map([['shop.orders', { schema: 'shop', name: 'orders_stream' }]]),
        keys: new Map([['shop.items', ['order_id', 'line']]]),
        appendOnly: true,
      },
    },
  })
  expect(load({}).pipelines[0]).toMatchObject({ source: { streams: { named: new Map(), keys: new Map(), appendOnly: false } } })
})

test.each([
  [{ streams: { 'shop.other': 'shop.s' } }, 'source.streams."shop.other": is none of the pipeline\'s tables: shop.orders, shop.items'],
  [{ keys: { other: ['id'] } }, "source.keys.other: is none of the pipeline's tables: shop.orders, shop.items"],
  [{ streams: { 'shop.orders': 'shop.s', 'shop.items': 'shop.s' } }, 'source.streams."shop.items": is the stream of shop.orders already'],
  [{ streams: ['shop.s'] }, 'source.streams: expected a map, such as { public.orders: public.orders_stream }, not a list'],
  [{ append_only: 'yes' }, 'source.append_only: expected true or false, not text'],
  [{ topic_prefix: 'cdc' }, expect.stringMatching(/^source\.topic_prefix: unknown key/)],
])('%j', (more, message) => {
  expect(problems(more)).toEqual([message])
})
