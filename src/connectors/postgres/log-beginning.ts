// The moment from which a log goes on, and the copy of tables in it: each as a whole, or a large one in pieces by the place of its rows
// on disk, read side by side. Every reader is in the snapshot that the slot has exported, which lives as long as its connection.

import type { LogBeginning, TableInPieces } from '../../contract/log.ts'
import type { PieceReader } from '../../contract/partition-reader.ts'
import type { ReadOptions } from '../../contract/read-options.ts'
import { LACKS, OLD, OP, ORDINAL, POSITION, READ_WORD } from '../../core/change-marks.ts'
import type { Chunk } from '../../core/chunk.ts'
import { invariant } from '../../core/invariant.ts'
import type { Partition, SeenPartition } from '../../core/partition.ts'
import type { Position } from '../../core/position.ts'
import { columnNamed, printTableName, type Table } from '../../core/table.ts'
import { literal, tableIdentifier } from '../../sql/quote.ts'
import type { PostgresColumn } from './column-types.ts'
import { copyToStdout, selectFor } from './copy-select.ts'
import type { PostgresTable } from './describe.ts'
import { readCopy } from './read-copy.ts'
import type { Session } from './session.ts'

interface Parts {
  readonly log: Session
  readonly reader: Session
  readonly open: () => Promise<Session>
  /** As the slot's maker has named it. */
  readonly snapshot: string
  readonly slot: string
}

/** Before PostgreSQL 14 a condition on the place of a row reads the whole table. */
const READS_PLACES = 140_000
const PAGE_BYTES = 8192

export class PostgresBeginning implements LogBeginning {
  readonly position: Position
  readonly formats = ['pg-copy-binary', 'columns', 'csv'] as const
  readonly #parts: Parts

  constructor(parts: Parts, position: Position) {
    this.#parts = parts
    this.position = position
  }

  read(table: Table, options: ReadOptions): AsyncIterable<Chunk> {
    return this.#copy(this.#parts.reader, table, tableIdentifier(table.name), options)
  }

  #copy(session: Session, table: Table, from: string, options: ReadOptions): AsyncIterable<Chunk> {
    const select = selectFor(options.format)
    const columns = options.columns.map((wanted) => {
      const column = columnNamed(table, wanted.name) as PostgresColumn | undefined
      return column === undefined ? this.#mark(wanted.name) : select(column, wanted)
    })
    return readCopy(session, copyToStdout(`SELECT ${columns.join(', ')} FROM ${from}`, options.format), options)
  }

  /** What a row of the copy has in a column that the pipeline adds. */
  #mark(name: string): string {
    const at = this.#at.replace(/^\d+:/, '')
    const marks: Readonly<Record<string, string>> = { [OP]: literal(READ_WORD), [POSITION]: literal(at), [ORDINAL]: '0::bigint' }
    if (marks[name] !== undefined) return name === ORDINAL ? (marks[name] ?? '') : `${marks[name]}::text`
    return name === LACKS || name === OLD ? 'NULL::text' : 'NULL::timestamptz'
  }

  get #at(): string {
    return this.position.kind === 'log' ? this.position.at : ''
  }

  async pieces(table: Table, pieceBytes: number): Promise<TableInPieces | null> {
    const leaves = await this.#leaves(table as PostgresTable)
    const pages = leaves.reduce((sum, leaf) => sum + leaf.pages, 0)
    const most = Math.max(1, Math.floor(pieceBytes / PAGE_BYTES))
    if (pages <= most) return null
    const places = leaves.flatMap((leaf) => placesOf(leaf, most))
    const rowsPerPage = table.estimatedRows === null ? null : table.estimatedRows / pages
    // Another beginning has other keys: what is claimed of one can't pass for a piece of the other.
    const prefix = `${printTableName(table.name)}@${this.#at}/${this.#parts.slot.slice(-8)}`
    const from = new Map<string, string>()
    const pieces = places.map((place): SeenPartition => {
      const key = `${prefix} ${place.leaf} ${place.first}..`
      from.set(key, `ONLY ${place.leaf} WHERE ${place.condition}`)
      return {
        key,
        bounds: { kind: 'range', lower: String(place.first), upper: String(place.first + place.pages) },
        closed: true,
        estimatedRows: rowsPerPage === null ? null : Math.round(rowsPerPage * place.pages),
        estimatedBytes: place.pages * PAGE_BYTES,
      }
    })
    return { pieces, openReader: () => this.#openReader(table, from) }
  }

  /** The tables that hold its rows; none where they can't be cut. Everything that the snapshot shows lies within their sizes of now. */
  async #leaves({ oid, relationKind }: PostgresTable): Promise<readonly Leaf[]> {
    const [server] = await this.#parts.reader.query("SELECT current_setting('server_version_num')::int AS version")
    if (Number(server?.['version']) < READS_PLACES) return []
    const rows = await this.#parts.reader.query(
      `SELECT format('%I.%I', n.nspname, c.relname) AS leaf, pg_relation_size(c.oid) / current_setting('block_size')::int AS pages,
         c.relkind = 'r' AND NOT EXISTS (SELECT 1 FROM pg_inherits i WHERE i.inhparent = c.oid) AS plain
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE c.oid IN (${relationKind === 'p' ? 'SELECT relid FROM pg_partition_tree($1::oid) WHERE isleaf' : '$1::oid'}) ORDER BY 1`,
      [oid],
    )
    if (rows.some((row) => row['plain'] !== 't')) return []
    return rows.map((row) => ({ leaf: row['leaf'] ?? '', pages: Number(row['pages']) }))
  }

  async #openReader(table: Table, from: ReadonlyMap<string, string>): Promise<PieceReader> {
    const session = await this.#parts.open()
    try {
      await session.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
      await session.query(`SET TRANSACTION SNAPSHOT ${literal(this.#parts.snapshot)}`)
    } catch (error) {
      session.destroy()
      throw error
    }
    return {
      begin: async () => {},
      read: ({ key }: Partition, options: ReadOptions) => {
        const rows = from.get(key)
        invariant(rows !== undefined, 'a piece is one of its table')
        return this.#copy(session, table, rows, options)
      },
      end: async () => {},
      close: () => session.close(),
    }
  }

  async close(): Promise<void> {
    await Promise.allSettled([this.#parts.log.close(), this.#parts.reader.close()])
  }
}

interface Leaf {
  /** As SQL. */
  readonly leaf: string
  readonly pages: number
}

function placesOf({ leaf, pages }: Leaf, most: number): readonly (Leaf & { readonly first: number; readonly condition: string })[] {
  const places = []
  // At least one, also where there are no pages.
  for (let first = 0; first === 0 || first < pages; first += most) {
    const isLast = first + most >= pages
    const above = isLast ? '' : ` AND ctid < '(${first + most},0)'`
    places.push({ leaf, first, pages: isLast ? pages - first : most, condition: `ctid >= '(${first},0)'${above}` })
  }
  return places
}
