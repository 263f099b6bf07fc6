// Writers as a busy shop has them: most transactions short, some open for seconds, with savepoints, rollbacks, updates and
// prepared transactions. All write the same table from many connections at once.

import { setTimeout as pause } from 'node:timers/promises'
import type pg from 'pg'
import type { FreshDatabase } from '../servers/fresh-database.ts'

/** Every kind of cursor in one table. */
export const LIVE_TABLE = `
CREATE SEQUENCE live_numbers CACHE 20;
CREATE TABLE live (
  id bigint PRIMARY KEY DEFAULT nextval('live_numbers'), writer int NOT NULL, version int NOT NULL DEFAULT 0,
  updated_at timestamptz NOT NULL DEFAULT now(), local_at timestamp NOT NULL DEFAULT now(), coarse_at timestamptz(0) NOT NULL DEFAULT now(),
  day date NOT NULL DEFAULT current_date, tx xid8 NOT NULL DEFAULT pg_current_xact_id());
CREATE FUNCTION live_stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  NEW.updated_at := now(); NEW.local_at := now(); NEW.coarse_at := now(); NEW.day := current_date; NEW.tx := pg_current_xact_id(); RETURN NEW; END $$;
CREATE TRIGGER live_stamp BEFORE INSERT OR UPDATE ON live FOR EACH ROW EXECUTE FUNCTION live_stamp();
CREATE INDEX ON live (updated_at);
CREATE TABLE happened (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, writer int NOT NULL, at timestamptz NOT NULL DEFAULT now(), tx xid8 NOT NULL DEFAULT pg_current_xact_id());`

export const LIVE_COLUMNS = ['id', 'writer', 'version', 'updated_at', 'local_at', 'coarse_at', 'day', 'tx'] as const

export interface Writing {
  /** Until all have ended, the last transactions included. */
  readonly done: Promise<void>
  readonly transactions: () => number
}

export async function startWriters(database: FreshDatabase, count: number, milliseconds: number): Promise<Writing> {
  const until = performance.now() + milliseconds
  let transactions = 0
  const clients = await Promise.all(Array.from({ length: count }, () => database.connect()))
  const write = async (client: pg.Client, writer: number): Promise<void> => {
    for (let turn = 0; performance.now() < until; turn++) {
      await transaction(client, writer, turn)
      transactions++
    }
  }
  const done = Promise.all(clients.map((client, writer) => write(client, writer))).then(() => {})
  return { done, transactions: () => transactions }
}

async function transaction(client: pg.Client, writer: number, turn: number): Promise<void> {
  await client.query('BEGIN')
  await client.query('INSERT INTO live (writer) VALUES ($1)', [writer])
  await client.query('INSERT INTO happened (writer) VALUES ($1)', [writer])
  await pause(openFor())
  if (Math.random() < 0.5)
    await client.query(
      'UPDATE live SET version = version + 1 WHERE id = (SELECT id FROM live WHERE writer = $1 ORDER BY random() LIMIT 1)',
      [writer],
    )
  if (Math.random() < 0.3) {
    await client.query('SAVEPOINT part')
    await client.query('INSERT INTO live (writer) VALUES ($1)', [writer])
    await client.query('INSERT INTO happened (writer) VALUES ($1)', [writer])
    await client.query(Math.random() < 0.5 ? 'ROLLBACK TO part' : 'RELEASE part')
  }
  const ending = Math.random()
  if (ending < 0.12) await client.query('ROLLBACK')
  else if (ending < 0.22) {
    const name = `'w${writer} t${turn} ${process.pid}'`
    await client.query(`PREPARE TRANSACTION ${name}`)
    await pause(openFor())
    await client.query(`${Math.random() < 0.8 ? 'COMMIT' : 'ROLLBACK'} PREPARED ${name}`)
  } else await client.query('COMMIT')
  await pause(Math.random() * 40)
}

/** Most below 0.2 s, with a tail to 2.5 s. */
function openFor(): number {
  return Math.random() < 0.85 ? Math.random() * 200 : Math.random() * 2500
}
