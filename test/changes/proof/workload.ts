// What applications do to a database, at random: several connections whose transactions overlap, undo parts of themselves, are prepared,
// and change tables of every kind in every way; and now and then a column. All of it follows from the seed.

import type pg from 'pg'
import type { FreshDatabase } from '../../servers/fresh-database.ts'
import type { Random } from '../../simulate/random.ts'

export const TABLES = ['wide', 'pair', 'named', 'whole', 'parts'] as const
type TableName = (typeof TABLES)[number]

/** A statement that fails for one of these is what happens to applications: a key is taken, a lock is not free, a deadlock. */
const ORDINARY_FAILURES = ['23505', '55P03', '40P01', '40001']

export function makeTables(schema: string): string {
  const external = (table: string, ...columns: readonly string[]): string =>
    columns.map((column) => `ALTER TABLE ${schema}.${table} ALTER ${column} SET STORAGE EXTERNAL;`).join('\n')
  return `
    CREATE SCHEMA ${schema};
    CREATE TABLE ${schema}.wide (id int PRIMARY KEY, n int, a text, b text, c text, d numeric(12, 3), e date, f boolean);
    ${external('wide', 'a', 'b', 'c')}
    CREATE TABLE ${schema}.pair (v varchar(40), part text, id int, a text, PRIMARY KEY (id, part));
    ${external('pair', 'a')}
    CREATE TABLE ${schema}.named (code text PRIMARY KEY, v int, x1 int, x2 text, x3 text DEFAULT 'x');
    CREATE TABLE ${schema}.whole (id int PRIMARY KEY, v int, a text, b text);
    ALTER TABLE ${schema}.whole REPLICA IDENTITY FULL;
    ${external('whole', 'a', 'b')}
    CREATE TABLE ${schema}.parts (id int PRIMARY KEY, v int, a text) PARTITION BY RANGE (id);
    CREATE TABLE ${schema}.parts_low PARTITION OF ${schema}.parts FOR VALUES FROM (0) TO (8);
    CREATE TABLE ${schema}.parts_rest PARTITION OF ${schema}.parts DEFAULT;
    ${external('parts_low', 'a')} ${external('parts_rest', 'a')}
    INSERT INTO ${schema}.wide SELECT i, i, repeat('a' || i, 1500), repeat('b', 3000), NULL, i / 7.0, date '2024-01-01' + i, i % 2 = 0
      FROM generate_series(1, 15) AS i;
    INSERT INTO ${schema}.pair SELECT 'v', CASE i % 2 WHEN 0 THEN 'x' ELSE 'y' END, i, repeat('p', 2500 + i) FROM generate_series(1, 12) AS i;
    INSERT INTO ${schema}.named SELECT 'k ö''' || i, i, i, 'two' FROM generate_series(1, 12) AS i;
    INSERT INTO ${schema}.whole SELECT i, i, repeat('w' || i, 1500), NULL FROM generate_series(1, 10) AS i;
    INSERT INTO ${schema}.parts SELECT i, i, repeat('q' || i, 1500) FROM generate_series(1, 16) AS i;`
}

interface Writer {
  readonly client: pg.Client
  isOpen: boolean
  savepoints: number
}

export interface Doing {
  /** Keys of rows change. */
  readonly moves: boolean
  /** Columns come, grow and go. */
  readonly alters: boolean
}

export class Workload {
  readonly #random: Random
  readonly #schema: string
  readonly #does: Doing
  readonly #writers: readonly Writer[]
  readonly #prepared: string[] = []
  #written = 0
  #added = 0
  readonly #spare = ['x1', 'x2', 'x3']
  #isWider = false

  static async open(source: FreshDatabase, random: Random, schema: string, does: Doing): Promise<Workload> {
    const writers: Writer[] = []
    for (let number = 0; number < 3; number++) {
      const client = await source.connect()
      await client.query(`SET lock_timeout = '10ms'; SET search_path = ${schema}; SET client_min_messages = error`)
      writers.push({ client, isOpen: false, savepoints: 0 })
    }
    return new Workload(random, schema, does, writers)
  }

  private constructor(random: Random, schema: string, does: Doing, writers: readonly Writer[]) {
    this.#random = random
    this.#schema = schema
    this.#does = does
    this.#writers = writers
  }

  async act(times: number): Promise<void> {
    for (let left = times; left > 0; left--) {
      const writer = this.#random.of(this.#writers)
      if (this.#prepared.length > 0 && !writer.isOpen && this.#random.chance(0.3)) await this.#endPrepared(writer)
      else if (this.#does.alters && !writer.isOpen && this.#random.chance(0.03)) await this.#try(writer, this.#alter())
      else if (!writer.isOpen && this.#random.chance(0.7)) await this.#begin(writer)
      else if (writer.isOpen && this.#random.chance(0.4)) await this.#control(writer)
      else await this.#try(writer, this.#statement(this.#random.of(TABLES)))
    }
  }

  /** All transactions end; prepared ones may stay. */
  async quiesce(keepPrepared = false): Promise<void> {
    for (const writer of this.#writers) if (writer.isOpen) await this.#end(writer, 'COMMIT')
    const [writer] = this.#writers
    while (!keepPrepared && writer !== undefined && this.#prepared.length > 0) await this.#endPrepared(writer)
  }

  async close(): Promise<void> {
    for (const { client } of this.#writers) await client.end()
  }

  async #begin(writer: Writer): Promise<void> {
    await writer.client.query('BEGIN')
    writer.isOpen = true
    writer.savepoints = 0
  }

  async #end(writer: Writer, how: string): Promise<void> {
    await writer.client.query(how)
    writer.isOpen = false
    writer.savepoints = 0
  }

  async #endPrepared({ client }: Writer): Promise<void> {
    const [gid] = this.#prepared.splice(this.#random.below(this.#prepared.length), 1)
    await client.query(`${this.#random.chance(0.7) ? 'COMMIT' : 'ROLLBACK'} PREPARED '${gid}'`)
  }

  async #control(writer: Writer): Promise<void> {
    const chance = this.#random.next()
    if (chance < 0.35) await this.#end(writer, 'COMMIT')
    else if (chance < 0.5) await this.#end(writer, 'ROLLBACK')
    else if (chance < 0.6) {
      const gid = `${this.#schema} ${++this.#written}`
      await this.#end(writer, `PREPARE TRANSACTION '${gid}'`)
      this.#prepared.push(gid)
    } else if (chance < 0.8 || writer.savepoints === 0) {
      writer.savepoints += 1
      await writer.client.query(`SAVEPOINT p${writer.savepoints}`)
    } else {
      await writer.client.query(`${this.#random.chance(0.7) ? 'ROLLBACK TO' : 'RELEASE'} p${writer.savepoints}`)
      writer.savepoints -= 1
    }
  }

  async #try(writer: Writer, sql: string): Promise<void> {
    try {
      await writer.client.query(sql)
    } catch (error) {
      if (!ORDINARY_FAILURES.includes((error as { code?: string }).code ?? '')) throw error
      if (!writer.isOpen) return
      if (writer.savepoints === 0) await this.#end(writer, 'ROLLBACK')
      else await writer.client.query(`ROLLBACK TO p${writer.savepoints}`)
    }
  }

  /** Columns come to one table, grow in another, and go from a third: one that comes where another goes would look like a rename. */
  #alter(): string {
    const kind = this.#random.below(4)
    if (kind === 0) return `ALTER TABLE wide ADD COLUMN n${++this.#added} int`
    if (kind === 1) return `ALTER TABLE wide ADD COLUMN n${++this.#added} text DEFAULT 'default ${this.#added}'`
    const spare = this.#spare.shift()
    if (kind === 2 && spare !== undefined) return `ALTER TABLE named DROP COLUMN IF EXISTS ${spare}`
    if (this.#isWider) return 'ALTER TABLE whole ALTER v SET NOT NULL, ALTER v DROP NOT NULL'
    this.#isWider = true
    return 'ALTER TABLE pair ALTER v TYPE text'
  }

  #statement(table: TableName): string {
    const random = this.#random
    const chance = random.next()
    if (chance < 0.02) return `TRUNCATE ${random.chance(0.5) ? table : `${table}, ${random.of(TABLES.filter((one) => one !== table))}`}`
    if (chance < 0.05) return `SELECT pg_logical_emit_message(${random.chance(0.5)}, 'other', 'message')`
    if (chance < 0.1) return this.#copy()
    if (chance < 0.2) return `DELETE FROM ${table} WHERE ${this.#some(table)}`
    if (chance < 0.4) return this.#insert(table)
    if (chance < 0.55 && this.#does.moves) return this.#move(table)
    return this.#update(table)
  }

  #key(): number {
    return 1 + this.#random.below(16)
  }

  #some(table: TableName): string {
    const key = this.#key()
    if (table === 'named') return `code = 'k ö''${key}'`
    return this.#random.chance(0.6) ? `id = ${key}` : `id BETWEEN ${key} AND ${key + 2}`
  }

  /** Beyond what a page holds, or not. */
  #text(): string {
    const written = ++this.#written
    return this.#random.of(['NULL', `'short ${written}'`, `repeat('${written} ', 1200)`, `repeat('${written}', 2500)`])
  }

  #insert(table: TableName): string {
    const [key, value] = [this.#key(), ++this.#written]
    switch (table) {
      case 'wide':
        return `INSERT INTO wide (id, n, a, b, c, d, e) SELECT i, ${value}, ${this.#text()}, ${this.#text()}, ${this.#text()}, i / 3.0, date '2024-05-01' + i
          FROM generate_series(${key}, ${key + 2}) AS i ON CONFLICT (id) DO UPDATE SET n = excluded.n, b = excluded.b`
      case 'pair':
        return `INSERT INTO pair (v, part, id, a) VALUES ('${value}', '${this.#random.of(['x', 'y'])}', ${key}, ${this.#text()})`
      case 'named':
        return `INSERT INTO named (code, v) VALUES ('k ö''${key}', ${value}) ON CONFLICT (code) DO UPDATE SET v = excluded.v`
      default:
        return `INSERT INTO ${table} (id, v, a) VALUES (${key}, ${value}, ${this.#text()})`
    }
  }

  #update(table: TableName): string {
    const value = ++this.#written
    const where = this.#some(table)
    if (table === 'named') return `UPDATE named SET v = ${value} WHERE ${where}`
    if (table !== 'wide') return `UPDATE ${table} SET ${this.#random.of([`v = '${value}'`, `a = ${this.#text()}`])} WHERE ${where}`
    const change = this.#random.of([
      `n = ${value}`,
      `a = ${this.#text()}`,
      `b = ${this.#text()}, c = NULL`,
      `d = ${value} / 9.0, f = NOT f`,
    ])
    return `UPDATE wide SET ${change} WHERE ${where}`
  }

  /** One row to another key, two that change places, or three that go round. */
  #move(table: TableName): string {
    const [a, b, c] = [this.#key(), this.#key(), this.#key()]
    const from = (key: number): string => (table === 'named' ? `code = 'k ö''${key}'` : `id = ${key}`)
    const to = (from: number, key: number): string =>
      `UPDATE ${table} SET ${this.#random.chance(0.5) && table === 'wide' ? `n = ${++this.#written}, ` : ''}${
        table === 'named' ? `code = 'k ö''${key}'` : `id = ${key}`
      } WHERE ${table === 'named' ? `code = 'k ö''${from}'` : `id = ${from}`}`
    if (table === 'pair' && this.#random.chance(0.3))
      return `UPDATE pair SET part = CASE part WHEN 'x' THEN 'y' ELSE 'x' END WHERE ${from(a)}`
    const chance = this.#random.next()
    if (chance < 0.4) return to(a, b)
    const away = 1000 + ++this.#written
    if (chance < 0.75) return [to(a, away), to(b, a), to(away, b)].join(';')
    return [to(a, away), to(b, a), to(c, b), to(away, c)].join(';')
  }

  /** COPY from the server's own side. */
  #copy(): string {
    const first = 2000 + this.#written
    this.#written += 3
    return `COPY whole (id, v, a) FROM PROGRAM 'printf "${first}\\t1\\tcopied\\n${first + 1}\\t2\\t\\\\\\\\N\\n"'`
  }
}
