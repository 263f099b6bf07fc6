// The command as a user types it: what it prints where, and how it ends.

import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ERRORS } from '../../src/core/errors.ts'
import { duckdbRows } from '../servers/duckdb-file.ts'
import { type FreshDatabase, freshDatabase } from '../servers/fresh-database.ts'
import { type UserFolder, userFolder } from './built-command.ts'

const PROJECT = `
connections:
  shop: { type: postgres, url: "\${env:SOURCE_URL}" }
  warehouse: { type: duckdb, path: ./warehouse.duckdb }
defaults:
  target: { connection: warehouse, schema: staging }
pipelines:
  orders:
    pattern: watermark
    source: { connection: shop, table: public.orders }
    cursor: updated_at
  notes:
    pattern: watermark
    source: { connection: shop, table: public.notes }
    cursor: id
`
const ESCAPE = '\x1b'

let shop: FreshDatabase
beforeAll(async () => {
  shop = await freshDatabase()
  await shop.run(`
    CREATE TABLE orders (id bigint PRIMARY KEY, amount numeric(10,2), updated_at timestamptz NOT NULL DEFAULT now());
    CREATE TABLE notes (id int PRIMARY KEY, line text);
    CREATE INDEX ON orders (updated_at);
    INSERT INTO orders SELECT n, n / 4.0, timestamptz '2024-01-01' + n * interval '1 hour' FROM generate_series(1, 3000) AS n;
    INSERT INTO notes VALUES (1, 'a'), (2, NULL);
    ANALYZE orders`)
})
afterAll(() => shop.drop())

function folderWith(project = PROJECT): UserFolder {
  const folder = userFolder({ SOURCE_URL: shop.url, NO_COLOR: undefined, FORCE_COLOR: undefined })
  folder.write('tidemark.yml', project)
  return folder
}

test('run, plan, check and status in a pipe: plain lines, answers on stdout, the rest on stderr', async () => {
  using folder = folderWith()
  const planned = await folder.tidemark(['plan', 'orders', '--sql'])
  expect(planned).toMatchObject({ exit: 0, err: '' })
  expect(planned.out).toMatch(/^orders {2}1 slice, about 3,000 rows$/m)
  expect(folder.has('warehouse.duckdb')).toBe(false)

  expect(await folder.tidemark(['check'])).toMatchObject({ exit: 0, out: expect.stringMatching(/Ready to run\.\n$/) })
  expect((await folder.tidemark(['status'])).out).toMatch(/^orders +- +- +- +-$/m)

  const first = await folder.tidemark(['run'])
  expect(first).toMatchObject({ exit: 0, out: '' })
  expect(first.err).toMatch(/^orders {2}loaded 3,000 rows \(3,000 inserted\) in .* watermark \d{4}-/m)
  expect(await folder.tidemark(['run', 'orders'])).toMatchObject({ exit: 0, out: '', err: 'orders  up to date\n' })
  expect(await folder.tidemark(['run', 'orders', '-q'])).toMatchObject({ exit: 0, out: '', err: '' })
  expect((await folder.tidemark(['status'])).out).toMatch(/^orders +\d{4}-\S+ \S+ +.* 3,000$/m)
  expect(await folder.tidemark(['plan', 'orders'])).toMatchObject({ out: expect.stringContaining('nothing to do') })
})

test('json and ndjson are on stdout, alone, and in the promised shape', async () => {
  using folder = folderWith()
  const loaded = await folder.tidemark(['run', '-o', 'json'])
  expect(loaded.json).toMatchObject({
    command: 'run',
    ok: true,
    pipelines: [{ pipeline: 'orders', status: 'loaded', error: null }, { pipeline: 'notes' }],
  })
  expect(loaded.json.pipelines[0]).toMatchObject({
    from: null,
    to: { kind: 'watermark' },
    epoch: 1,
    slices: 1,
    partitions: null,
    rows: { read: 3000, inserted: 3000, unchanged: 0 },
  })

  const again = await folder.tidemark(['run', 'orders', '-o', 'ndjson'])
  const lines = again.out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(lines.map(({ event }) => event)).toEqual(['pipeline-started', 'planned', 'pipeline-finished', undefined])
  expect(lines.at(-1)).toMatchObject({ command: 'run', ok: true, pipelines: [{ status: 'up-to-date' }] })

  expect((await folder.tidemark(['plan', '-o', 'json'])).json.pipelines[0]).toMatchObject({ pipeline: 'orders', steps: [], held_by: [] })
  expect((await folder.tidemark(['check', '-o', 'json'])).json).toMatchObject({ ok: true, findings: expect.any(Array) })
  expect((await folder.tidemark(['status', '-o', 'json'])).json.pipelines).toMatchObject([
    { pipeline: 'orders', pattern: 'watermark', records_processed: 3000 },
    {},
  ])
})

test('watermark get, set, rewind and history', async () => {
  using folder = folderWith()
  expect(await folder.tidemark(['watermark', 'get', 'orders'])).toMatchObject({ exit: 0, out: '(none yet)\n' })
  expect(await folder.tidemark(['watermark', 'rewind', 'orders', '--to', '2024-02-01', '--yes'])).toMatchObject({ exit: 2 })
  await folder.tidemark(['run', 'orders'])

  const asked = await folder.tidemark(['watermark', 'rewind', 'orders', '--to', '2024-02-01'])
  expect(asked).toMatchObject({ exit: 2, err: expect.stringContaining('--yes') })
  const back = await folder.tidemark(['watermark', 'rewind', 'orders', '--to', '2024-02-01', '--yes'])
  expect(back).toMatchObject({
    exit: 0,
    out: '2024-02-01 00:00:00+00\n',
    err: expect.stringMatching(/About [\d,]+ rows would be read again/),
  })
  const forward = await folder.tidemark(['watermark', 'rewind', 'orders', '--to', '2024-03-01', '--yes'])
  expect(forward).toMatchObject({ exit: 2, err: expect.stringContaining('bad-usage') })
  expect((await folder.tidemark(['run', 'orders', '-o', 'json'])).json.pipelines[0].rows).toMatchObject({
    read: 3000 - 31 * 24 + 1,
    inserted: 0,
    updated: 0,
  })

  expect(await folder.tidemark(['watermark', 'set', 'orders', '2024-01-05', '--yes'])).toMatchObject({
    exit: 0,
    out: '2024-01-05 00:00:00+00\n',
  })
  expect(await folder.tidemark(['watermark', 'set', 'orders', 'soon', '--yes'])).toMatchObject({
    exit: 2,
    err: expect.stringContaining('bad-value'),
  })
  const { json } = await folder.tidemark(['watermark', 'history', 'orders', '-o', 'json'])
  expect(json.history.map(({ cause }: { cause: string }) => cause)).toEqual(['set', 'run', 'rewind', 'run'])
  expect((await folder.tidemark(['watermark', 'history', 'orders'])).out.split('\n')[0]).toMatch(/^EPOCH +AT \(UTC\) +CAUSE/)
  expect((await folder.tidemark(['watermark', 'get', 'orders', '-o', 'json'])).json).toMatchObject({
    pipeline: 'orders',
    pattern: 'watermark',
    epoch: 4,
  })
})

test('reloads a range, refreshes all, stops after so many slices', async () => {
  using folder = folderWith()
  await folder.tidemark(['run', 'orders'])
  const { json: before } = await folder.tidemark(['watermark', 'get', 'orders', '-o', 'json'])
  const reload = await folder.tidemark(['run', 'orders', '--from', '2024-01-02', '--to', '2024-01-03', '-o', 'json'])
  expect(reload.json.pipelines[0].rows).toMatchObject({ read: 24, unchanged: 24 })
  const { json: after } = await folder.tidemark(['watermark', 'get', 'orders', '-o', 'json'])
  expect(after.position).toEqual(before.position)
  expect((await folder.tidemark(['run', 'orders', '--full-refresh', '-o', 'json'])).json.pipelines[0].rows).toMatchObject({
    read: 3000,
    unchanged: 3000,
  })
  expect(await folder.tidemark(['run', 'orders', '--max-slices', 'many'])).toMatchObject({ exit: 2 })
})

test('options stand before or after the command', async () => {
  using folder = folderWith()
  await folder.shell('mkdir sub && mv tidemark.yml sub/other.yml')
  for (const args of [
    ['-c', 'sub/other.yml', '-o', 'json', 'plan', 'orders'],
    ['plan', 'orders', '-c', 'sub/other.yml', '-o', 'json'],
    ['plan', '--config=sub/other.yml', 'orders', '--output', 'json'],
  ])
    expect((await folder.tidemark(args)).json).toMatchObject({ command: 'plan', pipelines: [{ pipeline: 'orders' }] })
  await folder.tidemark(['run', 'orders', '-c', 'sub/other.yml'])
  expect([folder.has('sub/warehouse.duckdb'), folder.has('warehouse.duckdb')]).toEqual([true, false])
})

test('schema, errors, version and help', async () => {
  using folder = folderWith()
  expect((await folder.tidemark(['schema'])).json).toMatchObject({ type: 'object', properties: { pipelines: {} } })
  expect((await folder.tidemark(['errors', '-o', 'json'])).json.errors).toHaveLength(Object.keys(ERRORS).length)
  expect(await folder.tidemark(['errors', 'state-conflict'])).toMatchObject({ exit: 0, out: expect.stringContaining('exit 5') })
  expect(await folder.tidemark(['errors', 'state-conflit'])).toMatchObject({
    exit: 2,
    err: expect.stringContaining('Did you mean "state-conflict"?'),
  })
  expect(await folder.tidemark(['--version'])).toMatchObject({ exit: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) })
  for (const args of [['--help'], ['run', '--help'], ['help', 'run'], ['watermark', '--help']])
    expect(await folder.tidemark(args)).toMatchObject({ exit: 0, out: expect.stringContaining('Usage: tidemark'), err: '' })
  expect(await folder.tidemark(['watermark', 'set', '--help'])).toMatchObject({
    exit: 0,
    out: expect.stringContaining('Usage: tidemark watermark set'),
  })
})

describe('exit codes', () => {
  test.each<[string, readonly string[], number, string]>([
    ['an unknown command', ['rnu'], 2, 'Did you mean run?'],
    ['an unknown option', ['run', '--frobnicate'], 2, 'unknown option'],
    ['a missing argument', ['watermark', 'get'], 2, 'missing required argument'],
    ['an unknown pipeline', ['run', 'order'], 2, 'Did you mean "orders"?'],
    ['a missing project file', ['run', '-c', 'nowhere.yml'], 2, 'missing-project'],
    ['no command', [], 2, 'Usage: tidemark'],
  ])('%s', async (_, args, exit, message) => {
    using folder = folderWith()
    const ended = await folder.tidemark(args)
    expect(ended).toMatchObject({ exit, out: '' })
    expect(ended.err).toContain(message)
  })

  test('a bad project: every mistake with its place, as JSON too', async () => {
    using folder = folderWith(
      PROJECT.replace('cursor: id', 'curser: id').replace(
        'connection: shop, table: public.orders',
        'connection: shp, table: public.orders',
      ),
    )
    const { exit, err } = await folder.tidemark(['run'])
    expect(exit).toBe(2)
    expect(err).toMatch(/tidemark\.yml:10:27.*shop/)
    expect(err).toMatch(/tidemark\.yml:15:5.*cursor/)
    expect(await folder.tidemark(['run', '-o', 'json'])).toMatchObject({ exit: 2, json: { ok: false, error: { code: 'bad-project' } } })
  })

  test('an unreachable server is 3, and the other pipelines load', async () => {
    using folder = folderWith(
      PROJECT.replace('connection: shop, table: public.notes', 'connection: gone, table: public.notes').replace(
        'defaults:',
        '  gone: { type: postgres, url: "postgresql://127.0.0.1:1/x", connect_timeout: 1s }\ndefaults:',
      ),
    )
    const { exit, json } = await folder.tidemark(['run', '-o', 'json'])
    expect(exit).toBe(3)
    expect(json.pipelines).toMatchObject([{ status: 'loaded' }, { status: 'failed', error: { code: 'unreachable' } }])
  })

  test('a missing table is 3 with its place in the project file', async () => {
    using folder = folderWith(PROJECT.replace('public.orders', 'public.ordrs'))
    const { exit, err } = await folder.tidemark(['run', 'orders'])
    expect(exit).toBe(3)
    expect(err).toMatch(/missing-table.*tidemark\.yml:10:\d+/)
  })

  test('a changed definition is 2, and a full refresh settles it', async () => {
    using folder = folderWith()
    await folder.tidemark(['run', 'orders'])
    folder.write('tidemark.yml', PROJECT.replace('cursor: updated_at', 'cursor: updated_at\n    where: "id > 10"'))
    expect(await folder.tidemark(['run', 'orders'])).toMatchObject({ exit: 2, err: expect.stringContaining('definition-changed') })
    expect((await folder.tidemark(['run', 'orders', '--full-refresh', '-o', 'json'])).json.pipelines[0].rows).toMatchObject({ deleted: 10 })
    expect(await folder.tidemark(['run', 'orders'])).toMatchObject({ exit: 0 })
  })
})

test('colour only where it is wanted', async () => {
  using folder = folderWith()
  const unknown = ['run', 'nothing']
  expect((await folder.tidemark(unknown)).err).not.toContain(ESCAPE)
  expect((await folder.tidemark(unknown, { FORCE_COLOR: '1' })).err).toContain(ESCAPE)
  expect((await folder.tidemark(unknown, { FORCE_COLOR: '1', NO_COLOR: '1' })).err).not.toContain(ESCAPE)
  expect((await folder.tidemark([...unknown, '--no-color'], { FORCE_COLOR: '1' })).err).not.toContain(ESCAPE)
})

describe('signals', () => {
  // Each row takes 5 ms, so that 3,000 are on their way for a while.
  const SLOW = PROJECT.replace('cursor: updated_at', 'cursor: updated_at\n    where: "pg_sleep(0.005) IS NOT NULL"')

  async function underway(folder: UserFolder) {
    const { child, done } = folder.start(['run', 'orders', '-o', 'ndjson'])
    await new Promise<void>((resolve) => child.stdout?.on('data', (text: string) => String(text).includes('reading') && resolve()))
    await setTimeout(500)
    return { child, done, began: performance.now() }
  }

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s ends a run with %i within five seconds, and nothing is half-written', async (signal, code) => {
    using folder = folderWith(SLOW)
    const { child, done, began } = await underway(folder)
    child.kill(signal)
    const ended = await done
    expect([ended.exit, ended.signal]).toEqual([code, null])
    expect(performance.now() - began).toBeLessThan(6000)
    expect(JSON.parse(ended.out.trim().split('\n').at(-1) ?? '')).toMatchObject({
      ok: false,
      pipelines: [{ status: 'failed', error: { code: 'stopped' } }],
    })
    const left = await duckdbRows(
      `${folder.path}/warehouse.duckdb`,
      "SELECT table_name FROM duckdb_tables() WHERE table_name NOT LIKE 'pipeline%'",
    )
    expect([left, (await folder.tidemark(['watermark', 'get', 'orders'])).out]).toEqual([[], '(none yet)\n'])

    folder.write('tidemark.yml', PROJECT)
    expect((await folder.tidemark(['run', 'orders', '-o', 'json'])).json.pipelines[0].rows).toMatchObject({ inserted: 3000 })
  })

  test('a second signal ends it at once', async () => {
    using folder = folderWith()
    const rival = await shop.connect()
    await rival.query('BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE')
    const { child, done } = folder.start(['run', 'orders'])
    await setTimeout(2500)
    child.kill('SIGINT')
    await setTimeout(300)
    const began = performance.now()
    child.kill('SIGINT')
    expect(await done).toMatchObject({ exit: 130 })
    expect(performance.now() - began).toBeLessThan(1500)
    await rival.query('ROLLBACK')
  })

  test('follow drains and ends with 0', async () => {
    using folder = folderWith()
    const { child, done } = folder.start(['follow', 'orders', '--every', '1s'])
    await new Promise<void>((resolve) => child.stderr?.on('data', (text: string) => String(text).includes('up to date') && resolve()))
    child.kill('SIGTERM')
    expect(await done).toMatchObject({ exit: 0, err: expect.stringContaining('loaded 3,000 rows') })
  })
})
