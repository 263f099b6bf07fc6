// A hot standby as source: it shows none of the primary's open transactions, so the bound can't be trusted there. The sweep can,
// and a column of transaction numbers.

import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import { expect, test } from 'vitest'
import { type PostgresServer, startPostgres } from '../../src/testing/postgres-server.ts'
import { same } from '../servers/compare-tables.ts'
import { startLoading } from '../servers/loading.ts'
import { LIVE_COLUMNS, LIVE_TABLE } from './writers.ts'

/** The second server becomes a standby of the first: the primary's data under its own configuration. */
async function makeStandby(standby: PostgresServer, primary: PostgresServer): Promise<void> {
  await Promise.all([standby.stop(), primary.stop()])
  const folder = standby.dataDirectory
  const own = ['postgresql.conf', 'pg_hba.conf'].map((name) => ({
    path: join(folder, name),
    text: readFileSync(join(folder, name), 'utf8'),
  }))
  for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true })
  execFileSync('cp', ['-Rp', `${primary.dataDirectory}/.`, folder])
  // Written over the copies, which belong to the server's user.
  for (const { path, text } of own) writeFileSync(path, text)
  writeFileSync(join(folder, 'postgresql.auto.conf'), `primary_conninfo = 'host=127.0.0.1 port=${primary.port} user=postgres'\n`)
  writeFileSync(join(folder, 'standby.signal'), '', { mode: 0o644 })
  await primary.restart()
  await standby.restart()
}

/** The database arrives there a moment after it was made. */
async function connectWhenThere(url: string): Promise<pg.Client> {
  for (let attempt = 1; ; attempt++) {
    const client = new pg.Client({ connectionString: url })
    client.on('error', () => {})
    try {
      await client.connect()
      return client
    } catch (error) {
      if (attempt === 100) throw error
      await pause(100)
    }
  }
}

test('late commits through a standby: swept, or told by their transaction', async () => {
  await using primary = await startPostgres()
  await using standby = await startPostgres()
  await makeStandby(standby, primary)
  const toStandby = (url: string): string => {
    const other = new URL(url)
    other.port = String(standby.port)
    return other.href
  }
  const pipelines = Object.fromEntries(
    ['auto', 'xid8', 'bound'].map((name) => [
      name,
      { source: { table: 'live' }, target: { table: name }, late_rows: name === 'xid8' ? { xid8: 'tx' } : name },
    ]),
  )
  await using loading = await startLoading({ sourceServer: primary.url(), sourceUrl: toStandby, pipelines })
  const { source } = loading
  await source.run(`${LIVE_TABLE}; INSERT INTO live (writer) SELECT 0 FROM generate_series(1, 100)`)
  const looker = await connectWhenThere(toStandby(source.url))
  const replayed = async (): Promise<void> => {
    const [sent] = await source.rows('SELECT pg_current_wal_lsn() AS at')
    const behind = async () => (await looker.query('SELECT pg_last_wal_replay_lsn() >= $1 AS done', [sent?.at])).rows[0].done
    await expect.poll(behind, { timeout: 20_000, interval: 50 }).toBe(true)
  }
  await replayed()

  await using project = await loading.open()
  expect(await project.plan('auto')).toMatchObject({ late: { mode: 'sweep', reason: expect.stringContaining('standby') } })
  await expect(project.plan('bound')).rejects.toMatchObject({ code: 'late-rows-unsafe' })

  const run = async (): Promise<void> => {
    const { pipelines: results } = await project.run(['auto', 'xid8'])
    expect(results.map(({ error }) => error)).toEqual([null, null])
  }
  await run()
  const slow = await source.connect()
  await slow.query('BEGIN; INSERT INTO live (writer) VALUES (1)')
  await source.run('INSERT INTO live (writer) SELECT 2 FROM generate_series(1, 10)')
  await replayed()
  await run()
  await slow.query('COMMIT')
  await source.run('UPDATE live SET version = 1 WHERE id <= 5')
  await replayed()
  await run()
  for (const targetTable of ['auto', 'xid8'])
    expect(await loading.compare('live', { columns: LIVE_COLUMNS, targetTable })).toEqual(same(111))

  // While replay is paused there is nothing new, and nothing is skipped for it.
  await looker.query('SELECT pg_wal_replay_pause()')
  await source.run('INSERT INTO live (writer) SELECT 3 FROM generate_series(1, 10)')
  await run()
  await looker.query('SELECT pg_wal_replay_resume()')
  await replayed()
  await run()
  for (const targetTable of ['auto', 'xid8'])
    expect(await loading.compare('live', { columns: LIVE_COLUMNS, targetTable })).toEqual(same(121))
  await looker.end()
})
