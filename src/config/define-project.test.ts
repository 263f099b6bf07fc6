// Mostly for the compiler: each @ts-expect-error must be an error.

import { expect, it } from 'vitest'
import { defineProject } from './define-project.ts'
import { validateProject } from './validate-project.ts'

const connections = { shop: { type: 'postgres', host: 'h', port: 5432 }, wh: { type: 'duckdb', path: 'x' } } as const

it('gives back what the checks accept', () => {
  const project = defineProject({
    connections: { shop: { type: 'postgres', host: 'h', tls: { mode: 'require' } }, wh: { type: 'duckdb', path: 'x' } },
    pipelines: {
      p: {
        pattern: 'watermark',
        source: { connection: 'shop', table: 't' },
        target: { connection: 'wh' },
        cursor: 'c',
        key: ['id'],
        late_rows: { lag: '5m' },
      },
    },
  })
  expect(validateProject(project, 'x', { env: {} }).pipelines).toHaveLength(1)
})

it('needs no fields that the defaults give', () => {
  const project = defineProject({
    connections,
    defaults: { pattern: 'watermark', target: { connection: 'wh' }, cursor: 'c' },
    pipelines: { p: { source: { connection: 'shop', table: 't' } }, q: { source: { connection: 'shop', table: 'u' }, cursor: 'd' } },
  })
  expect(validateProject(project, 'x', { env: {} }).pipelines).toMatchObject([{ cursor: 'c' }, { cursor: 'd' }])
})

it('knows both ways of following a log', () => {
  const kafka = { type: 'kafka' as const, brokers: ['localhost:9092'], connect: 'http://localhost:8083' }
  const connector = { name: 'orders-connector', from: 'shop', properties: { 'max.batch.size': 4096 } } as const
  const target = { connection: 'wh' } as const
  const project = defineProject({
    connections: { ...connections, kafka },
    pipelines: {
      own: { pattern: 'cdc', source: { connection: 'shop', tables: ['public.a'], heartbeat: '10s' }, target },
      topics: { pattern: 'cdc', source: { connection: 'kafka', tables: ['public.b'], topic_prefix: 'cdc', connector }, target },
    },
  })
  expect(validateProject(project, 'x', { env: {} }).pipelines).toMatchObject([
    { source: { kafka: null, heartbeatSeconds: 10 } },
    { source: { kafka: { topicPrefix: 'cdc', connector: { name: 'orders-connector', properties: { 'max.batch.size': '4096' } } } } },
  ])
})

it('lets the compiler find what is wrong', () => {
  const source = { connection: 'shop', table: 't' } as const
  const target = { connection: 'wh' } as const
  // @ts-expect-error an unknown connection
  defineProject({ connections, pipelines: { p: { pattern: 'watermark', source: { connection: 'shp', table: 't' }, target, cursor: 'c' } } })
  // @ts-expect-error no cursor
  defineProject({ connections, pipelines: { p: { pattern: 'watermark', source, target } } })
  // @ts-expect-error an unknown strategy
  defineProject({ connections, pipelines: { p: { pattern: 'watermark', source, target, cursor: 'c', write: 'mrge' } } })
  // @ts-expect-error a misspelt field
  defineProject({ connections, pipelines: { p: { pattern: 'watermark', source, target, cursor: 'c', kee: ['id'] } } })
  // @ts-expect-error an unknown type of connection
  defineProject({ connections: { c: { type: 'mysql' } }, pipelines: {} })
  // @ts-expect-error an unknown option of a connection
  defineProject({ connections: { c: { type: 'duckdb', path: 'x', pth: 'y' } }, pipelines: {} })
  expect.assertions(0)
})
