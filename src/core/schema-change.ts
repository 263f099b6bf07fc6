// Two tables → what must change at the target. Columns are added and widened, never dropped or narrowed.

import { describeType, holds, sameType } from './data-type.ts'
import { LoadError } from './errors.ts'
import { type Column, columnNamed, printTableName, type Table, type TableName } from './table.ts'

export type SchemaChange =
  | { readonly kind: 'create-table'; readonly table: Table }
  | { readonly kind: 'add-column'; readonly table: TableName; readonly column: Column }
  | { readonly kind: 'widen-column'; readonly table: TableName; readonly column: Column; readonly was: string }

export type SchemaPolicy = 'evolve' | 'freeze' | 'ignore'

/** How one target judges types: what it would make of a source's column, and whether what it has can hold it. */
export interface TypeRules {
  /** The column as the target would create it. */
  targetColumn(column: Column): Column
  /** `same`: as it is; `fits`: what is there holds every value; `widen`: after an ALTER; `conflict`: never. */
  compare(existing: Column, wanted: Column): 'same' | 'fits' | 'widen' | 'conflict'
}

export interface SchemaPlan {
  readonly changes: readonly SchemaChange[]
  /** The target table as it is after the changes. */
  readonly table: Table
  /** Names of the columns that are loaded, in the source's order. */
  readonly columns: readonly string[]
}

/** Compares by logical type; a connector with types of its own refines it. */
export function compareTypes(existing: Column, wanted: Column): 'same' | 'fits' | 'widen' | 'conflict' {
  if (sameType(existing.type, wanted.type) && existing.native === wanted.native) return 'same'
  if (holds(existing.type, wanted.type)) return 'fits'
  if (holds(wanted.type, existing.type)) return 'widen'
  return 'conflict'
}

/** Throws `schema-frozen` or `schema-conflict`, naming table and column. */
export function planSchema(source: Table, existing: Table | null, name: TableName, policy: SchemaPolicy, rules: TypeRules): SchemaPlan {
  const wanted = source.columns.map((column) => rules.targetColumn(column))
  if (existing === null) {
    const table: Table = { ...source, name, columns: wanted, identity: '' }
    return { changes: [{ kind: 'create-table', table }], table, columns: wanted.map((column) => column.name) }
  }
  const changes: SchemaChange[] = []
  const loaded: string[] = []
  for (const column of wanted) {
    const present = columnNamed(existing, column.name)
    if (present === undefined) {
      if (policy === 'ignore') continue
      if (policy === 'freeze') throw frozen(name, `has no column "${column.name}", which the source has`)
      changes.push({ kind: 'add-column', table: name, column })
    } else {
      if (present.generated === true) continue
      const verdict = rules.compare(present, column)
      if (verdict === 'conflict') throw conflict(name, present, column)
      if (verdict === 'widen') {
        if (policy === 'freeze') throw frozen(name, `would need a wider column "${column.name}"`)
        if (policy === 'ignore') throw conflict(name, present, column)
        changes.push({ kind: 'widen-column', table: name, column, was: present.native ?? describeType(present.type) })
      }
    }
    loaded.push(column.name)
  }
  return { changes, table: { ...existing, columns: applied(existing.columns, changes) }, columns: loaded }
}

function applied(columns: readonly Column[], changes: readonly SchemaChange[]): readonly Column[] {
  const result = [...columns]
  for (const change of changes) {
    if (change.kind === 'add-column') result.push(change.column)
    if (change.kind === 'widen-column') result[result.findIndex((column) => column.name === change.column.name)] = change.column
  }
  return result
}

function frozen(table: TableName, what: string): LoadError {
  return new LoadError('schema-frozen', `Target table ${printTableName(table)} ${what}, and on_schema_change is freeze.`)
}

function conflict(table: TableName, present: Column, wanted: Column): LoadError {
  const has = present.native ?? describeType(present.type)
  const needs = wanted.native ?? describeType(wanted.type)
  return new LoadError(
    'schema-conflict',
    `Column "${wanted.name}" of target table ${printTableName(table)} is ${has}, which can't hold the source's ${needs}.`,
  )
}
