// SHOW and DESCRIBE, with the columns that Snowflake documents for them.

import { type ObjectName, printPath, type Stream, type Table } from './catalog.ts'
import { printType } from './data-types.ts'
import { targetOf } from './dml.ts'
import { fixedResult, type Row, type StatementResult, wireTime } from './results.ts'
import { doesNotExist, unknown } from './snowflake-error.ts'
import { cursorOf, type Statement } from './statement.ts'
import { visible } from './store.ts'
import { isStale, staleAfter } from './streams.ts'
import type { TokenCursor } from './token-cursor.ts'

const OWNER = 'SYSADMIN'

/** LIKE of SHOW: any case, % and _. */
function matcher(pattern: string | null): (name: string) => boolean {
  if (pattern === null) return () => true
  const source = pattern
    .replace(/[.*+?^${}()|[\]]/g, '\\$&')
    .replace(/\\([%_])|%|_/g, (one, escaped) => escaped ?? (one === '%' ? '.*' : '.'))
  const regex = new RegExp(`^${source}$`, 'is')
  return (name) => regex.test(name)
}

interface Asked {
  readonly name: (name: string) => boolean
  readonly scope: (path: ObjectName) => boolean
}

function readAsked({ session }: Statement, cursor: TokenCursor): Asked {
  const name = matcher(cursor.accept('LIKE') ? cursor.string() : null)
  const within = (database: string | null, schema: string | null) => (path: ObjectName) =>
    (database === null || path.database === database) && (schema === null || path.schema === schema)
  let scope = within(session.database, session.schema)
  if (cursor.accept('IN')) {
    if (cursor.accept('ACCOUNT')) scope = within(null, null)
    else if (cursor.accept('DATABASE')) scope = within(cursor.done ? session.database : cursor.name(), null)
    else {
      cursor.accept('SCHEMA')
      const parts = cursor.qualifiedName()
      scope = within(parts.length > 1 ? parts[0]! : session.database, parts.at(-1)!)
    }
  }
  return { name, scope }
}

export async function show(statement: Statement): Promise<StatementResult> {
  const cursor = cursorOf(statement)
  cursor.expect('SHOW')
  cursor.accept('TERSE')
  const what = cursor.accept('PRIMARY', 'KEYS') ? 'PRIMARY KEYS' : cursor.name()
  const shown = SHOWN[what]
  if (!shown) throw unknown(`SHOW ${what}`)
  const result = await shown(statement, cursor)
  cursor.expectEnd()
  return result
}

const SHOWN: Record<string, (statement: Statement, cursor: TokenCursor) => StatementResult | Promise<StatementResult>> = {
  TABLES: async (statement, cursor) => {
    const { name, scope } = readAsked(statement, cursor)
    const { catalog, store } = statement.machine
    const tables = catalog
      .tables()
      .filter((table) => scope(table.path) && name(table.path.name) && (table.session ?? statement.session.id) === statement.session.id)
    const rows: Row[] = []
    for (const table of tables) {
      const [[count] = [0n]] = await store.exclusive(() =>
        store.rows<bigint>(`SELECT count(*) FROM v.t${table.id} WHERE ${visible(store.version, null)}`),
      )
      rows.push(tableRow(table, String(count)))
    }
    return fixedResult(TABLE_COLUMNS, rows)
  },
  STREAMS: (statement, cursor) => {
    const { name, scope } = readAsked(statement, cursor)
    const streams = statement.machine.catalog.streams().filter(({ path }) => scope(path) && name(path.name))
    return fixedResult(
      STREAM_COLUMNS,
      streams.map((stream) => streamRow(stream, statement)),
    )
  },
  SCHEMAS: (statement, cursor) => {
    const name = matcher(cursor.accept('LIKE') ? cursor.string() : null)
    let database = statement.session.database!
    if (cursor.accept('IN')) {
      cursor.accept('DATABASE')
      database = cursor.name()
    }
    const schemas = [...statement.machine.catalog.schemasOf(database)].filter(name)
    return fixedResult(
      ['created_on:ltz', 'name', 'database_name', 'owner'],
      schemas.map((schema) => [wireTime(statement.startedAt), schema, database, OWNER]),
    )
  },
  DATABASES: (statement, cursor) => {
    const name = matcher(cursor.accept('LIKE') ? cursor.string() : null)
    const databases = statement.machine.catalog.databases().filter(name)
    return fixedResult(
      ['created_on:ltz', 'name', 'owner'],
      databases.map((one) => [wireTime(statement.startedAt), one, OWNER]),
    )
  },
  'PRIMARY KEYS': primaryKeys,
  PARAMETERS: parameters,
  TRANSACTIONS: ({ machine }, cursor) => {
    cursor.accept('IN', 'ACCOUNT')
    const rows = machine.transactions.open().filter(({ autocommit }) => !autocommit)
    return fixedResult(
      ['id:fixed', 'user', 'session:fixed', 'name', 'started_on:ltz', 'state', 'scope:fixed'],
      rows.map(({ id, session, name, startedAt }) => [
        String(id),
        session.user,
        String(session.id),
        name,
        wireTime(startedAt),
        'running',
        '0',
      ]),
    )
  },
  LOCKS: ({ machine }, cursor) => {
    cursor.accept('IN', 'ACCOUNT')
    const open = new Map(machine.transactions.open().map((transaction) => [transaction.id, transaction]))
    return fixedResult(
      ['resource', 'type', 'transaction:fixed', 'transaction_started_on:ltz', 'status', 'session:fixed'],
      machine.transactions.locks.list().map(({ resource, transaction, status }) => {
        const owner = open.get(transaction)
        return [
          resource,
          'PARTITIONS',
          String(transaction),
          owner ? wireTime(owner.startedAt) : null,
          status,
          owner ? String(owner.session.id) : null,
        ]
      }),
    )
  },
}

const TABLE_COLUMNS =
  'created_on:ltz name database_name schema_name kind comment cluster_by rows:fixed bytes:fixed owner retention_time change_tracking'.split(
    ' ',
  )

function tableRow({ path, kind, createdAt, comment, retentionDays, trackedSince }: Table, rows: string): Row {
  const tracking = trackedSince === null ? 'OFF' : 'ON'
  return [wireTime(createdAt), path.name, path.database, path.schema, kind, comment, '', rows, '0', OWNER, String(retentionDays), tracking]
}

const STREAM_COLUMNS =
  'created_on:ltz name database_name schema_name owner comment table_name source_type base_tables type stale mode stale_after:ltz invalid_reason owner_role_type'.split(
    ' ',
  )

function streamRow(stream: Stream, { machine }: Statement): Row {
  const { path, table, createdAt, comment, mode } = stream
  const source = printPath(table.path)
  const stale = String(isStale(stream, machine.clock))
  const names = [path.name, path.database, path.schema, OWNER, comment]
  return [wireTime(createdAt), ...names, source, 'Table', source, 'DELTA', stale, mode, wireTime(staleAfter(stream)), 'N/A', 'ROLE']
}

function primaryKeys(statement: Statement, cursor: TokenCursor): StatementResult {
  let tables = statement.machine.catalog.tables()
  if (cursor.accept('IN')) {
    if (cursor.accept('TABLE') || !(cursor.is('SCHEMA') || cursor.is('DATABASE') || cursor.is('ACCOUNT')))
      tables = [targetOf(statement, cursor.qualifiedName())]
    else {
      cursor.at--
      const { scope } = readAsked(statement, cursor)
      tables = tables.filter(({ path }) => scope(path))
    }
  }
  const columns = [
    'created_on:ltz',
    'database_name',
    'schema_name',
    'table_name',
    'column_name',
    'key_sequence:fixed',
    'constraint_name',
    'rely',
    'comment',
  ]
  return fixedResult(
    columns,
    tables.flatMap(({ path, primaryKey, createdAt, id }) =>
      primaryKey.map((name, index) => [
        wireTime(createdAt),
        path.database,
        path.schema,
        path.name,
        name,
        String(index + 1),
        `SYS_CONSTRAINT_${id}`,
        'false',
        null,
      ]),
    ),
  )
}

function parameters(statement: Statement, cursor: TokenCursor): StatementResult {
  const name = matcher(cursor.accept('LIKE') ? cursor.string() : null)
  const row = ([key, value, otherwise]: readonly [string, string, string], level: string): Row => [
    key,
    value,
    otherwise,
    value === otherwise ? '' : level,
    '',
    'STRING',
  ]
  const columns = ['key', 'value', 'default', 'level', 'description', 'type']
  if (cursor.accept('IN', 'TABLE')) {
    const { retentionDays, extensionDays } = targetOf(statement, cursor.qualifiedName())
    const own = [
      ['DATA_RETENTION_TIME_IN_DAYS', String(retentionDays), '1'],
      ['MAX_DATA_EXTENSION_TIME_IN_DAYS', String(extensionDays), '14'],
    ] as const
    return fixedResult(
      columns,
      own.filter(([key]) => name(key)).map((one) => row(one, 'TABLE')),
    )
  }
  if (!cursor.accept('IN', 'SESSION') && !cursor.accept('IN', 'ACCOUNT')) cursor.accept('FOR', 'SESSION')
  return fixedResult(
    columns,
    statement.session
      .parameters()
      .filter(([key]) => name(key))
      .map((one) => row(one, 'SESSION')),
  )
}

export function describe(statement: Statement): StatementResult {
  const cursor = cursorOf(statement)
  cursor.next()
  const { machine, session } = statement
  if (cursor.accept('STREAM')) {
    const path = session.path(cursor.qualifiedName())
    const stream = machine.catalog.findStream(path)
    if (!stream) throw doesNotExist('Stream', printPath(path))
    return fixedResult(STREAM_COLUMNS, [streamRow(stream, statement)])
  }
  if (!cursor.accept('TABLE')) throw unknown(`DESCRIBE ${cursor.peek()?.text ?? ''}`)
  const { columns, primaryKey } = targetOf(statement, cursor.qualifiedName())
  const heads = ['name', 'type', 'kind', 'null?', 'default', 'primary key', 'unique key', 'check', 'expression', 'comment', 'policy name']
  return fixedResult(
    heads,
    columns.map(({ name, type, nullable, default: otherwise }) => {
      const key = primaryKey.includes(name) ? 'Y' : 'N'
      return [name, printType(type), 'COLUMN', nullable ? 'Y' : 'N', otherwise, key, 'N', null, null, null, null]
    }),
  )
}
