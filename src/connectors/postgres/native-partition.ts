// Replacing a partition of a table that PostgreSQL itself has partitioned, by TRUNCATE or by exchanging the whole table. Both are quick
// for large partitions, and both show a reader in an older REPEATABLE READ snapshot no rows of it: DELETE is the only way that does not.

import { createHash, randomBytes } from 'node:crypto'
import { LoadError } from '../../core/errors.ts'
import type { Load, LoadedPartition } from '../../core/load.ts'
import type { Partition, PartitionBounds } from '../../core/partition.ts'
import { printTableName, type TableName } from '../../core/table.ts'
import { identifier, literal, tableIdentifier } from '../../sql/quote.ts'
import { postgresError } from './errors.ts'
import type { Row, Session } from './session.ts'

/** PostgreSQL cuts longer names. */
const MOST_NAME_BYTES = 63

export interface NativePartition {
  /** Quoted: where the rows go. */
  readonly into: string
  /** Rows that give way. */
  readonly replaced: number
  /** After the rows: the new table takes its place. */
  finish(): Promise<void>
}

/** A table that is to become a partition. */
interface Aside {
  /** Quoted. */
  readonly name: string
  /** After the rows: it can be attached. */
  ready(): Promise<void>
}

interface Child {
  readonly name: TableName
  readonly bound: string
}

const CHILDREN = `
SELECT n.nspname AS schema, c.relname AS name, pg_get_expr(c.relpartbound, c.oid) AS bound
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE i.inhparent = $1::regclass`

const KEY = `
SELECT p.partstrat AS strategy, array_to_string(array_agg(a.attname), E'\\x01') AS columns, min(format_type(a.atttypid, a.atttypmod)) AS type
FROM pg_partitioned_table p LEFT JOIN unnest(p.partattrs::int2[]) AS k(attnum) ON true
LEFT JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = k.attnum WHERE p.partrelid = $1::regclass GROUP BY 1`

const NUMBERED = `
SELECT attname AS name, pg_get_serial_sequence($1, attname) AS sequence FROM pg_attribute WHERE attrelid = $1::regclass AND attidentity <> ''`

/** `form`: what an index is, without its name and table. */
const INDEXES = `
SELECT c.relname AS name, concat(i.indisprimary, i.indisunique, substring(pg_get_indexdef(c.oid) from ' USING .*')) AS form
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = $1::regclass ORDER BY c.oid`

/** Inside the transaction of the rows. Throws `unusable-partition` where the table is not partitioned alike. */
export async function openNativePartition(session: Session, load: Load, loaded: LoadedPartition): Promise<NativePartition> {
  const parent = tableIdentifier(load.table.name)
  const type = await keyType(session, load, loaded)
  const child = await findChild(session, parent, loaded.partition.bounds, type)
  if (child === null) return newChild(session, load, loaded)
  const name = tableIdentifier(child.name)
  const replaced = await countRows(session, name)
  if (loaded.replaceBy === 'swap') return swapped(session, parent, child, replaced)
  await session.query(`TRUNCATE ${name}`)
  return { into: name, replaced, finish: async () => {} }
}

async function keyType(session: Session, load: Load, { column, partition, replaceBy }: LoadedPartition): Promise<string> {
  const [key] = await session.query(KEY, [tableIdentifier(load.table.name)])
  const wanted = partition.bounds.kind === 'range' ? 'r' : partition.bounds.kind === 'bucket' ? null : 'l'
  if (key !== undefined && key['columns'] === column && key['strategy'] === wanted) return key['type'] ?? 'text'
  throw new LoadError(
    'unusable-partition',
    `Target table ${printTableName(load.table.name)} is not partitioned by ${wanted === 'l' ? 'LIST' : 'RANGE'} of "${column}", which replace_by: ${replaceBy} needs.`,
    { hint: 'Use `replace_by: delete`, or partition the target table as the pipeline is.' },
  )
}

/** Bounds are compared as values: '2024-01-01' and '2024-01-01 00:00:00' are one. */
async function findChild(session: Session, parent: string, bounds: PartitionBounds, type: string): Promise<Child | null> {
  const children = await session.query(CHILDREN, [parent])
  for (const row of children) {
    const bound = row['bound'] ?? ''
    const child = { name: { schema: row['schema'] ?? null, name: row['name'] ?? '' }, bound }
    if (bounds.kind === 'null') {
      if (/^FOR VALUES IN \(NULL\)$/.test(bound)) return child
      continue
    }
    const pair = pairOf(bound, bounds)
    if (pair === null) continue
    const [same] = await session.query(`SELECT ${pair.map(([a, b]) => `${a}::${type} = ${literal(b)}::${type}`).join(' AND ')} AS same`)
    if (same?.['same'] === 't') return child
  }
  return null
}

/** Literals of the child's bound, each beside the wanted value; null where the bound is of another form. */
function pairOf(bound: string, bounds: PartitionBounds): readonly (readonly [string, string])[] | null {
  const value = `('(?:[^']|'')*'|-?[\\d.]+|true|false)`
  if (bounds.kind === 'range') {
    const match = new RegExp(`^FOR VALUES FROM \\(${value}\\) TO \\(${value}\\)$`).exec(bound)
    return match === null ? null : [[match[1] ?? '', bounds.lower] as const, [match[2] ?? '', bounds.upper] as const]
  }
  if (bounds.kind !== 'value') return null
  const match = new RegExp(`^FOR VALUES IN \\(${value}\\)$`).exec(bound)
  return match === null ? null : [[match[1] ?? '', bounds.value] as const]
}

async function countRows(session: Session, table: string): Promise<number> {
  const [row] = await session.query(`SELECT count(*) AS n FROM ${table}`)
  return Number(row?.['n'])
}

/** Filled beside the others, so that no lock on them is held while rows come. */
async function makeAside(session: Session, parent: string, like: string, aside: TableName): Promise<Aside> {
  const name = tableIdentifier(aside)
  await session.query(`CREATE TABLE ${name} (LIKE ${like} INCLUDING ALL EXCLUDING IDENTITY)`)
  // A table with numbers of its own can't become a partition; until it is one, it takes those of the whole.
  const numbered = await session.query(NUMBERED, [parent])
  const columns = numbered.map((row) => ({ name: identifier(row['name'] ?? ''), sequence: literal(row['sequence'] ?? '') }))
  for (const { name: column, sequence } of columns)
    await session.query(`ALTER TABLE ${name} ALTER COLUMN ${column} SET DEFAULT nextval(${sequence})`)
  return {
    name,
    async ready() {
      for (const { name: column } of columns) await session.query(`ALTER TABLE ${name} ALTER COLUMN ${column} DROP DEFAULT`)
    },
  }
}

async function swapped(session: Session, parent: string, child: Child, replaced: number): Promise<NativePartition> {
  const old = tableIdentifier(child.name)
  const aside = await makeAside(session, parent, old, { ...child.name, name: `_tidemark_${randomBytes(8).toString('hex')}` })
  return {
    into: aside.name,
    replaced,
    async finish() {
      await aside.ready()
      const indexes = await session.query(INDEXES, [old])
      await session.query(`ALTER TABLE ${parent} DETACH PARTITION ${old}`)
      await session.query(`DROP TABLE ${old}`)
      await session.query(`ALTER TABLE ${aside.name} RENAME TO ${identifier(child.name.name)}`)
      await renameIndexes(session, child.name, indexes)
      await session.query(`ALTER TABLE ${parent} ATTACH PARTITION ${old} ${child.bound}`)
    },
  }
}

/** They were named for the table that they were made with; each takes the name of the one that it is like. */
async function renameIndexes(session: Session, table: TableName, old: readonly Row[]): Promise<void> {
  const left = [...old]
  for (const row of await session.query(INDEXES, [tableIdentifier(table)])) {
    const at = left.findIndex(({ form }) => form === row['form'])
    const [like] = at < 0 ? [] : left.splice(at, 1)
    if (like === undefined) continue
    const index = tableIdentifier({ schema: table.schema, name: row['name'] ?? '' })
    await session.query(`ALTER INDEX ${index} RENAME TO ${identifier(like['name'] ?? '')}`)
  }
}

async function newChild(session: Session, load: Load, { partition, replaceBy }: LoadedPartition): Promise<NativePartition> {
  const { name } = load.table
  const parent = tableIdentifier(name)
  const child = { schema: name.schema, name: childName(name.name, partition) }
  const [taken] = await session.query('SELECT to_regclass($1) AS found', [tableIdentifier(child)])
  if (taken?.['found'] != null)
    throw new LoadError(
      'unusable-partition',
      `Table ${printTableName(child)} is in the place of the partition that replace_by: ${replaceBy} would make of ${printTableName(name)}.`,
      { hint: 'Attach it as the partition that its name says, or rename or drop it.' },
    )
  const aside = await makeAside(session, parent, parent, child)
  return {
    into: aside.name,
    replaced: 0,
    async finish() {
      await aside.ready()
      try {
        await session.query(`ALTER TABLE ${parent} ATTACH PARTITION ${aside.name} ${boundOf(partition.bounds)}`)
      } catch (error) {
        throw refusedBounds(error, session, load, partition)
      }
    },
  }
}

/** What lies in its place can only be seen by trying: bounds that overlap, or rows in the default partition. */
function refusedBounds(error: unknown, session: Session, { table }: Load, { key }: Partition): LoadError {
  const refused = postgresError(error, session.what, 'target')
  if (!/\((42P17|23514)\)\.$/.test(refused.message)) return refused
  return new LoadError(
    'unusable-partition',
    `Target table ${printTableName(table.name)} can't have a partition ${key}: ${refused.message}`,
    { cause: refused, hint: 'Use `replace_by: delete`, or partition the target table as the pipeline is.' },
  )
}

function boundOf(bounds: PartitionBounds): string {
  switch (bounds.kind) {
    case 'range':
      return `FOR VALUES FROM (${literal(bounds.lower)}) TO (${literal(bounds.upper)})`
    case 'value':
      return `FOR VALUES IN (${literal(bounds.value)})`
    default:
      return 'FOR VALUES IN (NULL)'
  }
}

/** `orders_2024_03_10`; a key of other characters, or too long, ends in a hash that keeps it apart from others. */
function childName(table: string, { key, bounds }: Partition): string {
  const plain = `${table}_${key.replaceAll(/[^A-Za-z0-9]+/g, '_')}`
  const isPlain = /^[A-Za-z0-9]+(-[A-Za-z0-9]+)*$/.test(key) || (bounds.kind === 'range' && /^\d+\.\.\d+$/.test(key))
  if (Buffer.byteLength(plain) <= MOST_NAME_BYTES && isPlain) return plain
  const hash = createHash('sha256').update(`${table}\0${key}`).digest('hex').slice(0, 8)
  const start = Buffer.from(plain)
    .subarray(0, MOST_NAME_BYTES - hash.length - 1)
    .toString('utf8')
  return `${start.replaceAll('\uFFFD', '')}_${hash}`
}
