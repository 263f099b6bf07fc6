// What a writer of changes does about rows that its target refused. A row that is kept here is the row as the source has it: when it
// changes again it gives way to the newer one, which takes from it whatever was not sent again. So nothing kept is ever newer than the table
// says, and nothing in the table is newer than what is kept.

import type { ChangedTable, ChangeLoad, Reread } from '../contract/log.ts'
import { OP_WORDS } from '../core/change-marks.ts'
import { ABSENT, ChangesChunk, DELETE, INSERT, NONE, TRUNCATE, UNCHANGED, UPDATE } from '../core/changes-chunk.ts'
import { LoadError } from '../core/errors.ts'
import { type FoldedTable, foldChanges } from '../core/fold-changes.ts'
import { type QuarantinedChange, type Replayed, UNREADABLE, type UnreadableMessage } from '../core/quarantine.ts'
import { printTableName } from '../core/table.ts'
import { addKeptRow, cellValue, type KeptValue, valuesJson } from './kept-values.ts'
import { changePlaces, instant } from './logged-changes.ts'
import type { QuarantineTable, Runner } from './quarantine-table.ts'

/** A row that does not fit. */
export interface Refused {
  /** Its first cell in the chunk. */
  readonly row: number
  readonly code: LoadError['code']
  readonly message: string
  /** Of its columns, where the target has completed it; null: as the chunk has it. */
  readonly values: readonly KeptValue[] | null
}

interface Keyed {
  readonly changed: ChangedTable
  readonly name: string
  readonly names: readonly string[]
  readonly keyPlaces: readonly number[]
}

export class Quarantine {
  readonly #runner: Runner
  readonly #store: QuarantineTable
  readonly #load: ChangeLoad
  readonly #most: number
  readonly #tables: readonly Keyed[]
  /** Of rows that are kept, by the name of their table and by key: how many changes. */
  readonly #keys = new Map<string, Map<string, number>>()
  #count = 0

  private constructor(runner: Runner, store: QuarantineTable, load: ChangeLoad, most: number) {
    this.#runner = runner
    this.#store = store
    this.#load = load
    this.#most = most
    this.#tables = load.tables.map((changed) => ({
      changed,
      name: printTableName(changed.table.name),
      names: changed.columns.map(({ source }) => source.name),
      keyPlaces: changed.key.map((name) => changed.columns.findIndex(({ source }) => source.name === name)),
    }))
  }

  /** null where the pipeline stops at bad rows. Throws `definition-changed` where some are kept all the same: who would carry them on? */
  static async open(runner: Runner, store: QuarantineTable, load: ChangeLoad): Promise<Quarantine | null> {
    if (load.maxQuarantined === null) {
      const { length } = (await store.exists(runner)) ? await store.keys(runner, load.pipeline) : []
      if (length === 0) return null
      throw new LoadError(
        'definition-changed',
        `Pipeline ${load.pipeline} has ${length} ${length === 1 ? 'row' : 'rows'} in quarantine, and on_bad_row is no longer quarantine.`,
        { hint: 'Try them again with `tidemark quarantine replay`, or forget them with `tidemark quarantine discard`; then run again.' },
      )
    }
    const quarantine = new Quarantine(runner, store, load, load.maxQuarantined)
    for (const { table, key } of await store.keys(runner, load.pipeline)) quarantine.#remember(table, key)
    return quarantine
  }

  #remember(table: string, key: string): void {
    const keys = this.#keys.get(table) ?? new Map<string, number>()
    this.#keys.set(table, keys.set(key, (keys.get(key) ?? 0) + 1))
    this.#count += 1
  }

  /** How many changes are kept. */
  get count(): number {
    return this.#count
  }

  /** Throws `quarantine-full` where so many more would be too many: then it is hardly the rows that are bad. `last`: of them. */
  refuseMoreThanFit(more: number, last: Pick<Refused, 'code' | 'message'>): void {
    if (this.#count + more <= this.#most) return
    throw new LoadError(
      'quarantine-full',
      `More than ${this.#most} rows of pipeline ${this.#load.pipeline} would be in quarantine; nothing of this transaction was written. The last of them: ${last.message}`,
    )
  }

  /** What changes again is kept no more, and what its change lacks is taken from what was kept. Before anything of the chunk is applied. */
  async carry(chunk: ChangesChunk, folded: readonly FoldedTable[]): Promise<readonly FoldedTable[]> {
    if (this.#count === 0) return folded
    const carried: FoldedTable[] = []
    for (const one of folded) carried.push(await this.#carryTable(chunk, one))
    return carried
  }

  async #carryTable(chunk: ChangesChunk, folded: FoldedTable): Promise<FoldedTable> {
    const table = this.#tables[folded.table] as Keyed
    const keys = this.#keys.get(table.name)
    if (keys === undefined || keys.size === 0) return folded
    if (folded.truncated) {
      for (const kept of keys.values()) this.#count -= kept
      keys.clear()
      await this.#store.forgetTable(this.#runner, this.#load.pipeline, table.name)
      return folded
    }
    const taken = new Map<string, number>()
    const unread = new Set<string>()
    for (const row of [...folded.deletes, ...folded.rows, ...folded.bases]) {
      const key = row === NONE ? null : keyOf(chunk, row, table)
      const kept = key === null ? undefined : keys.get(key)
      if (key === null || kept === undefined) continue
      keys.delete(key)
      this.#count -= kept
      for (const { op, payload } of await this.#store.take(this.#runner, this.#load.pipeline, { table: table.name, key }))
        if (op === UNREADABLE) unread.add(key)
        else taken.set(key, addKeptRow(chunk, table.names, payload, UNCHANGED))
    }
    for (const base of folded.bases) if (base !== NONE && unread.has(keyOf(chunk, base, table))) throw lacksUnread(table.name)
    const bases = folded.rows.map((row, index) => {
      const base = folded.bases[index] as number
      const kept = base === NONE ? undefined : taken.get(keyOf(chunk, base, table))
      return kept === undefined || lacksAfter(chunk, row, kept, table.names.length) ? base : NONE
    })
    return { ...folded, bases }
  }

  /** In the transaction of the rows that fit. `changes`: of which change each is, where its row is not that of a change. */
  async keep(chunk: ChangesChunk, number: number, refused: readonly Refused[], changes?: ReadonlyMap<number, number>): Promise<void> {
    const last = refused.at(-1)
    if (last === undefined) return
    this.refuseMoreThanFit(refused.length, last)
    const table = this.#tables[number] as Keyed
    const { write, pipeline, runId } = this.#load
    const changeOf = changes ?? changesByRow(chunk, number)
    const places = changePlaces(chunk)
    for (const { row, code, message, values } of refused) {
      const change = changeOf.get(row) as number
      const key = keyOf(chunk, row, table)
      await this.#store.add(this.#runner, pipeline, {
        ...places(change),
        table: table.name,
        op: OP_WORDS[chunk.op[change] as number] ?? 'update',
        key,
        payload: valuesJson(table.names, values ?? table.names.map((_, place) => cellValue(chunk, row + place))),
        code,
        message,
        runId,
      })
      if (write === 'append') this.#count += 1
      else this.#remember(table.name, key)
    }
  }

  /** A message that can't be read as a change. */
  async keepMessage(chunk: ChangesChunk, kept: UnreadableMessage): Promise<void> {
    const { row, position, ordinal, payload, code, message, writtenMicros } = kept
    this.refuseMoreThanFit(1, kept)
    const table = this.#tables[kept.table] as Keyed
    const key = keyOf(chunk, row, table)
    const { pipeline, runId, write } = this.#load
    const at = { position, ordinal, committedAt: instant(writtenMicros) }
    await this.#store.add(this.#runner, pipeline, { ...at, table: table.name, op: UNREADABLE, key, payload, code, message, runId })
    if (write === 'append') this.#count += 1
    else this.#remember(table.name, key)
  }

  /** Inside of a transaction: `write` tries the kept changes, and tells of each that is refused again. */
  async replay(ids: readonly string[] | null, reread: Reread | null, write: Write): Promise<Replayed> {
    const wanted = await this.#wanted(ids)
    const recalled = this.#recall(
      new ChangesChunk(),
      wanted.filter(({ op }) => op !== UNREADABLE),
    )
    const left = new Map<number, Refused>()
    await write(recalled, async (_, refused) => {
      for (const one of refused) left.set(one.row, one)
    })
    let replayed = await this.#settle(recalled, left)
    // Of one row nothing may overtake what stays.
    const stuck = new Set([...left.keys()].map((row) => rowOf(recalled.rows.get(row) as QuarantinedChange)))
    const messages = wanted.filter(({ op }) => op === UNREADABLE).sort((a, b) => a.ordinal - b.ordinal)
    for (const one of messages) {
      const why = stuck.has(rowOf(one)) ? null : await this.#rereadOne(one, reread, write)
      if (why === 'fits') replayed += await this.#store.remove(this.#runner, this.#load.pipeline, one)
      else stuck.add(rowOf(one))
      if (why !== 'fits' && why !== null) await this.#store.note(this.#runner, this.#load.pipeline, one, why.code, why.message)
    }
    return { replayed, left: wanted.length - replayed }
  }

  /** Read and written again; what is wrong with it, where it still does not go. */
  async #rereadOne(
    kept: QuarantinedChange,
    reread: Reread | null,
    write: Write,
  ): Promise<'fits' | Pick<Refused, 'code' | 'message'> | null> {
    const number = this.#tables.findIndex(({ name }) => name === kept.table)
    if (number < 0 || reread === null) return null
    const chunk = new ChangesChunk()
    try {
      await reread(number, kept, chunk)
    } catch (error) {
      if (!(error instanceof LoadError)) throw error
      return error
    }
    if (chunk.count === 0) return 'fits'
    const refused: Refused[] = []
    await write(this.#folded(chunk, new Map()), async (_, more) => void refused.push(...more))
    return refused[0] ?? 'fits'
  }

  /** Locked until the transaction ends. */
  async #wanted(ids: readonly string[] | null): Promise<readonly QuarantinedChange[]> {
    const all = await this.#store.list(this.#runner, this.#load.pipeline, true)
    const unknown = (ids ?? []).filter((id) => !all.some((one) => one.id === id))
    if (unknown.length > 0)
      throw new LoadError('bad-usage', `Pipeline ${this.#load.pipeline} has no ${unknown.join(', ')} in quarantine.`, {
        hint: 'See `tidemark quarantine list`.',
      })
    const wanted = all.filter(({ id }) => ids === null || ids.includes(id))
    for (const one of this.#load.write === 'append' ? [] : wanted) {
      const earlier = all.find((other) => rowOf(other) === rowOf(one) && !wanted.includes(other) && isBefore(other, one))
      if (earlier !== undefined)
        throw new LoadError('bad-usage', `${one.id} is of the same row as ${earlier.id}, which is older: it must go first.`, {
          hint: 'Name both, or discard the older one.',
        })
    }
    return wanted
  }

  /** Kept changes as a chunk, and what they come to. Those of other tables are left out. */
  #recall(chunk: ChangesChunk, wanted: readonly QuarantinedChange[]): Recalled {
    const rows = new Map<number, QuarantinedChange>()
    for (const one of wanted) {
      const number = this.#tables.findIndex(({ name }) => name === one.table)
      if (number >= 0) rows.set(this.#recallOne(chunk, number, one), one)
    }
    return this.#folded(chunk, rows)
  }

  #folded(chunk: ChangesChunk, rows: ReadonlyMap<number, QuarantinedChange>): Recalled {
    const tables = this.#tables.map(({ names, keyPlaces }) => ({ width: names.length, key: keyPlaces }))
    return { chunk, rows, folded: this.#load.write === 'append' ? [] : foldChanges(chunk, tables) }
  }

  #recallOne(chunk: ChangesChunk, number: number, { op, payload, position, ordinal, committedAt }: QuarantinedChange): number {
    const { names } = this.#tables[number] as Keyed
    const logged = { insert: INSERT, update: UPDATE, delete: DELETE, truncate: TRUNCATE, [UNREADABLE]: UPDATE } as const
    // What a merged row lacks is in the table, whatever its change was.
    const as = this.#load.write === 'append' ? logged[op] : UPDATE
    chunk.beginTransaction(position, microsOf(committedAt), ordinal)
    chunk.add(number, as)
    const row = addKeptRow(chunk, names, payload, as === DELETE || as === TRUNCATE ? ABSENT : UNCHANGED)
    const into = as === DELETE ? chunk.old : chunk.row
    into[chunk.count - 1] = row
    return row
  }

  /** Those that fit are kept no more: returns how many. Why the others don't is noted. */
  async #settle(recalled: Recalled, refused: ReadonlyMap<number, Refused>): Promise<number> {
    let fitting = 0
    for (const [row, change] of recalled.rows) {
      const why = refused.get(row)
      if (why === undefined) fitting += await this.#store.remove(this.#runner, this.#load.pipeline, change)
      else await this.#store.note(this.#runner, this.#load.pipeline, change, why.code, why.message)
    }
    return fitting
  }
}

/** Gets the refused rows of a table, by its number. */
type KeepRefused = (table: number, refused: readonly Refused[]) => Promise<void>

interface Recalled {
  readonly chunk: ChangesChunk
  /** By the first cell of their rows. */
  readonly rows: ReadonlyMap<number, QuarantinedChange>
  readonly folded: readonly FoldedTable[]
}

type Write = (recalled: Recalled, keep: KeepRefused) => Promise<unknown>

/** Which row a change is of. */
function rowOf({ table, key }: QuarantinedChange): string {
  return `${table} ${key}`
}

/** A row that the target refused is older than a message of the same row: it would have given way to it. */
function isBefore(a: QuarantinedChange, b: QuarantinedChange): boolean {
  return b.op === UNREADABLE && (a.op !== UNREADABLE || a.ordinal < b.ordinal)
}

function lacksUnread(table: string): LoadError {
  return new LoadError('bad-message', `A change of ${table} leaves out values that an unreadable message before it may have.`, {
    hint: 'The message is in quarantine: see `tidemark quarantine list`. Mend what is wrong and `tidemark quarantine replay` it; or discard it, and copy the table again with `--resync`.',
  })
}

function keyOf(chunk: ChangesChunk, row: number, { changed, keyPlaces }: Keyed): string {
  return valuesJson(
    changed.key,
    keyPlaces.map((place) => cellValue(chunk, row + place)),
  )
}

/** Fills what the row lacks from another; does it lack something still? */
function lacksAfter(chunk: ChangesChunk, row: number, from: number, width: number): boolean {
  let lacks = false
  for (let place = 0; place < width; place++) {
    if (chunk.length[row + place] !== UNCHANGED) continue
    chunk.copyCell(from + place, row + place)
    lacks ||= chunk.length[row + place] === UNCHANGED
  }
  return lacks
}

function changesByRow(chunk: ChangesChunk, table: number): ReadonlyMap<number, number> {
  const rows = new Map<number, number>()
  for (let change = 0; change < chunk.count; change++) if (chunk.table[change] === table) rows.set(chunk.row[change] as number, change)
  return rows
}

/** `2024-03-10 05:00:00.123456+00` → microseconds from 1970. */
function microsOf(text: string): bigint {
  const match = /^(.{10}) (.{8})\.(\d{6})\+00$/.exec(text)
  return match === null ? 0n : BigInt(Date.parse(`${match[1]}T${match[2]}Z`)) * 1000n + BigInt(match[3] ?? '0')
}
