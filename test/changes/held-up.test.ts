// A slot waits for what is open when it is made, and a publication for locks on its tables. The wait has an end, names who held it up,
// and leaves nothing.

import { describe, expect, test } from 'vitest'
import { parsePostgresConfig } from '../../src/connectors/postgres/config.ts'
import { createSlot } from '../../src/connectors/postgres/create-slot.ts'
import { openLogSession } from '../../src/connectors/postgres/log-session.ts'
import { describeLogged } from '../../src/connectors/postgres/logged-table.ts'
import { publishAll } from '../../src/connectors/postgres/publication.ts'
import { openSession } from '../../src/connectors/postgres/session.ts'
import { type FreshDatabase, freshDatabase } from '../servers/fresh-database.ts'
import { useOwnServer } from './following.ts'

const server = useOwnServer()

const POLICIES = { write: 'merge', onSchemaChange: 'evolve', workers: null, maxQuarantined: null } as const

async function waits(database: FreshDatabase, name: string): Promise<unknown> {
  const config = parsePostgresConfig({ url: database.url })
  const log = await openLogSession(config, 'source shop')
  const session = await openSession(config, 'source shop', 'source').opened
  const slot = { name, temporary: false, failover: false }
  try {
    return await createSlot(log, session, slot, 1).catch((error: unknown) => error)
  } finally {
    await Promise.all([log.close(), session.close()])
  }
}

describe('what holds up a beginning', () => {
  test('a slot: a transaction that has written, and a prepared one', async () => {
    await using database = await freshDatabase(server().url())
    await database.run('CREATE TABLE a (id int PRIMARY KEY)')
    const writer = await database.connect()
    await writer.query("SET application_name = 'nightly report'; BEGIN; INSERT INTO a VALUES (1)")
    const { rows } = await writer.query('SELECT pg_backend_pid() AS pid')
    const error = await waits(database, 'waiting')
    expect(error).toMatchObject({ code: 'log-unavailable', hint: 'End them, or run again when they are over.' })
    expect(String(error)).toMatch(
      new RegExp(`Slot waiting waited 1 s for older transactions to end: process ${rows[0].pid} \\(nightly report, open for \\d+ s\\)`),
    )
    await expect.poll(() => database.rows('SELECT slot_name FROM pg_replication_slots'), { timeout: 10_000 }).toEqual([])
    await writer.query("PREPARE TRANSACTION 'forgotten'")
    expect(String(await waits(database, 'waiting'))).toMatch(/prepared transaction \d+ \(of postgres, for \d+ s\)/)
    await expect.poll(() => database.rows('SELECT slot_name FROM pg_replication_slots'), { timeout: 10_000 }).toEqual([])
    await writer.query("ROLLBACK PREPARED 'forgotten'")
    expect(await waits(database, 'waiting')).toMatchObject({ snapshot: expect.stringMatching(/./) })
    expect(await database.rows('SELECT slot_name, plugin FROM pg_replication_slots')).toEqual([
      { slot_name: 'waiting', plugin: 'pgoutput' },
    ])
  })

  test('a publication: a lock on one of its tables', async () => {
    await using database = await freshDatabase(server().url())
    await database.run('CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)')
    const session = await openSession(parsePostgresConfig({ url: database.url }), 'source shop', 'source').opened
    const names = ['a', 'b'].map((name) => ({ schema: 'public', name }))
    const tables = await Promise.all(names.map((name) => describeLogged(session, name)))
    const source = {
      connection: 'shop',
      tables: names,
      slot: 'held',
      publication: 'held',
      failover: false,
      heartbeatSeconds: null,
      kafka: null,
      streams: null,
    }
    const pipeline = { name: 'shop', pattern: 'cdc', source, target: { connection: 'warehouse', schema: null }, ...POLICIES } as const
    const keeper = await database.connect()
    await keeper.query("SET application_name = 'index builder'; BEGIN; LOCK TABLE b IN SHARE UPDATE EXCLUSIVE MODE")
    await expect(publishAll(session, pipeline, tables, 1)).rejects.toMatchObject({
      code: 'log-unavailable',
      message: expect.stringMatching(/Publication held waited 1 s for locks on its tables: process \d+ \(index builder\)/),
    })
    expect(await database.rows('SELECT pubname FROM pg_publication')).toEqual([])
    await keeper.query('COMMIT')
    await publishAll(session, pipeline, tables, 1)
    expect(await database.rows('SELECT pubname FROM pg_publication')).toEqual([{ pubname: 'held' }])
    await session.close()
  })
})
