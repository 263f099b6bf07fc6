// The emulator's streams against a second, independent model: 10,000 random histories of rows. A thousand run side by side in one table, each
// in a lane of its own, and share only the moments at which transactions end and streams are consumed.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { type SnowflakeEmulator, startSnowflake } from '../../../src/testing/snowflake/emulator.ts'
import { RowHistory, type StreamLine } from './row-history.ts'

const LANES = 1000
const STEPS = 10
const SEEDS = process.env.TIDEMARK_SEED ? [Number(process.env.TIDEMARK_SEED)] : Array.from({ length: 10 }, (_, index) => index + 1)
const KINDS = ['insert', 'update', 'key', 'delete', 'merge', 'none'] as const

interface Op {
  readonly lane: number
  readonly kind: (typeof KINDS)[number]
  readonly id: number
  readonly v: string
}

function mulberry(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

let emulator: SnowflakeEmulator
beforeAll(async () => {
  emulator = await startSnowflake()
})
afterAll(() => emulator.stop())

type Query = SnowflakeEmulator['query']

/** One round: the same statements in the emulator and in the model. */
class Round {
  readonly #random: () => number
  readonly #writer: Query
  readonly #reader: Query
  readonly #model = new RowHistory()
  /** Where each stream stands by the model; `initial` until it is consumed. */
  readonly #streams = { s: { offset: 0, initial: false }, ao: { offset: 0, initial: false }, si: { offset: 0, initial: true } }
  readonly #rowIds = new Map<string, number>()
  #held: { readonly startedAt: number; readonly consumed: (keyof Round['streams'])[] } | null = null
  compared = 0

  constructor(seed: number) {
    this.#random = mulberry(seed)
    this.#writer = emulator.session().query
    this.#reader = emulator.session().query
  }

  get streams() {
    return this.#streams
  }

  async run(seed: number): Promise<void> {
    const schema = `SEED_${seed}`
    await this.#writer(`CREATE SCHEMA ${schema}`)
    await this.#reader(`USE SCHEMA ${schema}`)
    await this.#writer('CREATE TABLE t (lane INT, id INT, v VARCHAR); CREATE TABLE ops (lane INT, kind VARCHAR, id INT, v VARCHAR)')
    await this.#writer('CREATE TABLE taken (lane INT, id INT, v VARCHAR)')
    await this.#writer('ALTER TABLE t SET CHANGE_TRACKING = TRUE')
    await this.#change()
    const offset = this.#model.version
    for (const stream of Object.values(this.#streams)) stream.offset = offset
    await this.#writer(
      'CREATE STREAM s ON TABLE t; CREATE STREAM ao ON TABLE t APPEND_ONLY = TRUE; CREATE STREAM si ON TABLE t SHOW_INITIAL_ROWS = TRUE',
    )
    for (let step = 0; step < STEPS; step++) {
      await this.#change()
      await this.#compare()
      await this.#consume()
    }
    await this.#endHeld(true)
    await this.#compare()
  }

  #pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#random() * from.length)]!
  }

  /** A transaction of one to three statements for each lane. */
  async #change(): Promise<void> {
    const explicit = this.#random() < 0.7
    if (explicit) await this.#writer('BEGIN')
    const phases = 1 + Math.floor(this.#random() * 3)
    for (let phase = 0; phase < phases; phase++) {
      const ops = Array.from({ length: LANES }, (_, lane) => ({
        lane,
        kind: this.#pick(KINDS),
        id: Math.floor(this.#random() * 4),
        v: this.#pick(['a', 'b', 'c']),
      }))
      await this.#writer(
        `INSERT OVERWRITE INTO ops VALUES ${ops.map(({ lane, kind, id, v }) => `(${lane}, '${kind}', ${id}, '${v}')`).join(', ')}`,
      )
      await this.#apply(ops, explicit)
    }
    if (!explicit) return
    const commits = this.#random() < 0.8
    await this.#writer(commits ? 'COMMIT' : 'ROLLBACK')
    if (commits) this.#model.commit()
    else this.#model.rollback()
  }

  async #apply(ops: readonly Op[], explicit: boolean): Promise<void> {
    const of = (kind: Op['kind']) => new Map(ops.filter((op) => op.kind === kind).map((op) => [op.lane, op]))
    const where = (kind: Op['kind']) => `t.lane = o.lane AND t.id = o.id AND o.kind = '${kind}'`
    const [updates, keys, deletes, merges] = [of('update'), of('key'), of('delete'), of('merge')]
    const statements: (readonly [string, () => void])[] = [
      [
        "INSERT INTO t SELECT lane, id, v FROM ops WHERE kind = 'insert'",
        () => {
          for (const { lane, id, v } of of('insert').values()) this.#model.insert({ lane, id, v })
        },
      ],
      [
        `UPDATE t SET v = o.v FROM ops o WHERE ${where('update')}`,
        () => this.#model.change((row) => (updates.get(row.lane)?.id === row.id ? { ...row, v: updates.get(row.lane)!.v } : row)),
      ],
      [
        `UPDATE t SET id = t.id + 10 FROM ops o WHERE ${where('key')}`,
        () => this.#model.change((row) => (keys.get(row.lane)?.id === row.id ? { ...row, id: row.id + 10 } : row)),
      ],
      [
        `DELETE FROM t USING ops o WHERE ${where('delete')}`,
        () => this.#model.change((row) => (deletes.get(row.lane)?.id === row.id ? null : row)),
      ],
      [
        `MERGE INTO t USING (SELECT * FROM ops WHERE kind = 'merge') o ON t.lane = o.lane AND t.id = o.id WHEN MATCHED AND o.v = 'c' THEN DELETE
         WHEN MATCHED THEN UPDATE SET v = o.v WHEN NOT MATCHED AND o.v <> 'c' THEN INSERT (lane, id, v) VALUES (o.lane, o.id, o.v)`,
        () => this.#merge(merges),
      ],
    ]
    if (this.#random() < 0.1) statements.push(['INSERT OVERWRITE INTO t SELECT * FROM t WHERE id <> 3', () => this.#overwrite()])
    for (const [sql, replay] of statements.sort(() => this.#random() - 0.5)) {
      await this.#writer(sql)
      replay()
      if (!explicit) this.#model.commit()
    }
  }

  #merge(ops: ReadonlyMap<number, Op>): void {
    const there = new Set(this.#model.rows.map(({ lane, id }) => `${lane}|${id}`))
    this.#model.change((row) => {
      const op = ops.get(row.lane)
      if (op?.id !== row.id) return row
      return op.v === 'c' ? null : { ...row, v: op.v }
    })
    for (const { lane, id, v } of ops.values()) if (v !== 'c' && !there.has(`${lane}|${id}`)) this.#model.insert({ lane, id, v })
  }

  #overwrite(): void {
    const kept = this.#model.rows.filter(({ id }) => id !== 3)
    this.#model.change(() => null)
    for (const row of kept) this.#model.insert(row)
  }

  #expected(name: keyof Round['streams']): StreamLine[] {
    const { offset, initial } = this.#streams[name]
    const to = Math.max(offset, this.#held?.startedAt ?? this.#model.version)
    if (initial) return this.#model.present(offset)
    return name === 'ao' ? this.#model.appended(offset, to) : this.#model.delta(offset, to)
  }

  async #compare(): Promise<void> {
    for (const name of ['s', 'ao', 'si'] as const) {
      const rows = await this.#reader(`SELECT lane, id, v, METADATA$ACTION, METADATA$ISUPDATE, METADATA$ROW_ID FROM ${name}`)
      const expected = this.#expected(name)
      expect(rows.map((row) => row.slice(0, 5).join('|')).sort(), name).toEqual(expected.map(({ text }) => text).sort())
      this.#compareRowIds(
        rows.map((row) => [row.slice(0, 5).join('|'), row[5]!]),
        expected,
      )
      this.compared += rows.length
    }
  }

  /** Lines that are alike may be of any of their rows; all others must keep to one. */
  #compareRowIds(found: readonly (readonly [string, string])[], expected: readonly StreamLine[]): void {
    const rows = new Map<string, number>()
    const twice = new Set<string>()
    for (const { text, row } of expected) {
      if (rows.has(text)) twice.add(text)
      rows.set(text, row)
    }
    for (const [text, rowId] of found) {
      if (twice.has(text)) continue
      const row = rows.get(text)!
      expect(this.#rowIds.get(rowId) ?? row, `row id of ${text}`).toBe(row)
      this.#rowIds.set(rowId, row)
    }
  }

  /** Within a transaction that lasts for some steps, or at once. */
  async #consume(): Promise<void> {
    if (this.#held && this.#random() < 0.5) return this.#endHeld(this.#random() < 0.7)
    if (!this.#held && this.#random() < 0.4) {
      await this.#reader('BEGIN')
      this.#held = { startedAt: this.#model.version, consumed: [] }
    }
    const name = this.#pick(['s', 'ao', 'si'] as const)
    if (this.#random() < 0.4) return
    await this.#reader(`INSERT INTO taken SELECT lane, id, v FROM ${name} WHERE id = ${Math.floor(this.#random() * 4)}`)
    if (this.#held) this.#held.consumed.push(name)
    else this.#move(name, this.#model.version)
  }

  async #endHeld(commits: boolean): Promise<void> {
    const held = this.#held
    if (!held) return
    await this.#reader(commits ? 'COMMIT' : 'ROLLBACK')
    this.#held = null
    if (commits) for (const name of new Set(held.consumed)) this.#move(name, held.startedAt)
  }

  #move(name: keyof Round['streams'], to: number): void {
    const stream = this.#streams[name]
    if (!stream.initial) stream.offset = Math.max(stream.offset, to)
    stream.initial = false
  }
}

test.each(SEEDS)(`seed %i: the streams of ${LANES} histories are those of the model`, async (seed) => {
  const round = new Round(seed)
  await round.run(seed)
  expect(round.compared).toBeGreaterThan(LANES)
})
