// Replacing a partition of a table that PostgreSQL itself has partitioned, by TRUNCATE or by exchanging the whole table. Both are quick
// for large partitions, and both show a reader in an older REPEATABLE READ snapshot no rows of it: DELETE is the only way that does not.

import { createHash, randomBytes } from 'node:crypto'
import { LoadError } from '../../core/errors.ts'
import type { Load, LoadedPartition } from '../../core/load.ts'
import type { PartitionBounds } from '../../core/partition.ts'
import { printTableName, type TableName } from '../../core/table.ts'
import { identifier, literal, tableIdentifier } from '../../sql/quote.ts'
import type { Session } from './session.ts'

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
async function makeAside(session: Session, like: string, aside: TableName): Promise<TableName> {
  await session.query(`CREATE TABLE ${tableIdentifier(aside)} (LIKE ${like} INCLUDING ALL)`)
  return aside
}

async function swapped(session: Session, parent: string, child: Child, replaced: number): Promise<NativePartition> {
  const old = tableIdentifier(child.name)
  const aside = await makeAside(session, old, { schema: child.name.schema, name: `_tidemark_${randomBytes(8).toString('hex')}` })
  return {
    into: tableIdentifier(aside),
    replaced,
    async finish() {
      await session.query(`ALTER TABLE ${parent} DETACH PARTITION ${old}`)
      await session.query(`DROP TABLE ${old}`)
      await session.query(`ALTER TABLE ${tableIdentifier(aside)} RENAME TO ${identifier(child.name.name)}`)
      await renameIndexes(session, old, aside.name, child.name)
      await session.query(`ALTER TABLE ${parent} ATTACH PARTITION ${old} ${child.bound}`)
    },
  }
}

/** They were named for the table that they were made with. */
async function renameIndexes(session: Session, table: string, was: string, now: TableName): Promise<void> {
  const indexes = await session.query(
    'SELECT c.relname AS name FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = $1::regclass AND starts_with(c.relname, $2)',
    [table, was],
  )
  for (const row of indexes) {
    const name = row['name'] ?? ''
    const index = tableIdentifier({ schema: now.schema, name })
    await session.query(`ALTER INDEX ${index} RENAME TO ${identifier(shortened(now.name + name.slice(was.length)))}`)
  }
}

async function newChild(session: Session, load: Load, { partition: { key, bounds } }: LoadedPartition): Promise<NativePartition> {
  const { name } = load.table
  const parent = tableIdentifier(name)
  const child = await makeAside(session, parent, { schema: name.schema, name: childName(name.name, key) })
  return {
    into: tableIdentifier(child),
    replaced: 0,
    async finish() {
      await session.query(`ALTER TABLE ${parent} ATTACH PARTITION ${tableIdentifier(child)} ${boundOf(bounds)}`)
    },
  }
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

/** `orders_2024_03_10`; a key that is not all letters and digits, or too long, ends in a hash that keeps it apart from others. */
function childName(table: string, key: string): string {
  const plain = `${table}_${key.replaceAll(/[^A-Za-z0-9]+/g, '_')}`
  if (Buffer.byteLength(plain) <= MOST_NAME_BYTES && /^[A-Za-z0-9-]+$/.test(key)) return plain
  return shortened(plain, createHash('sha256').update(`${table}\0${key}`).digest('hex').slice(0, 8))
}

function shortened(name: string, hash: string | null = null): string {
  if (hash === null && Buffer.byteLength(name) <= MOST_NAME_BYTES) return name
  const tail = hash ?? createHash('sha256').update(name).digest('hex').slice(0, 8)
  const start = Buffer.from(name)
    .subarray(0, MOST_NAME_BYTES - tail.length - 1)
    .toString('utf8')
  return `${start.replaceAll('\uFFFD', '')}_${tail}`
}
