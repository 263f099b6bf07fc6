// CREATE and DROP of streams. A stream begins at the last commit, or where another stream or a moment stands.

import { printPath, type Stream } from './catalog.ts'
import { targetOf } from './dml.ts'
import { readTimeTravel } from './query-rewriter.ts'
import { type StatementResult, status, TYPE_IDS } from './results.ts'
import { doesNotExist, SnowflakeError, unknown } from './snowflake-error.ts'
import { Reader, type Statement, versionOf } from './statement.ts'
import { commitBefore } from './table-ddl.ts'
import type { TokenCursor } from './token-cursor.ts'

export async function createStream(statement: Statement, cursor: TokenCursor, replace: boolean): Promise<StatementResult> {
  const { machine, session } = statement
  const unlessThere = cursor.accept('IF', 'NOT', 'EXISTS')
  const path = session.path(cursor.qualifiedName())
  cursor.expect('ON')
  if (!cursor.accept('TABLE')) throw unknown(`CREATE STREAM … ON ${cursor.peek()?.text ?? ''}`)
  const table = targetOf(statement, cursor.qualifiedName())
  const at = readTimeTravel(cursor, new Reader(statement, null))
  const options = { appendOnly: false, initial: false, comment: '' }
  while (!cursor.done) {
    if (cursor.accept('APPEND_ONLY', '=')) options.appendOnly = cursor.boolean()
    else if (cursor.accept('SHOW_INITIAL_ROWS', '=')) options.initial = cursor.boolean()
    else if (cursor.accept('COMMENT', '=')) options.comment = cursor.string()
    else if (cursor.is('INSERT_ONLY')) {
      const text =
        'Streams of type INSERT_ONLY can only be created on external tables or Iceberg tables with an external catalog integration.'
      throw new SnowflakeError('001506', '42601', `SQL compilation error:\n${text}`)
    } else throw unknown(`${cursor.peek()!.text} at a stream`)
  }
  await commitBefore(statement)
  const old = machine.catalog.findStream(path)
  if (old && unlessThere) return status(`${path.name} already exists, statement succeeded.`, TYPE_IDS.ddl)
  machine.faults.checkSchemaGrant(path, 'CREATE STREAM')
  if (table.trackedSince === null) machine.faults.checkGrant(table.path, 'OWNERSHIP')
  return machine.store.exclusive(async () => {
    const offset = at ? versionOf(statement, at, table) : machine.store.version
    table.trackedSince ??= machine.store.version
    if (offset < table.trackedSince) {
      const what = 'Change tracking is not enabled or has been missing for the time range requested on table'
      throw new SnowflakeError('091930', '55000', `SQL compilation error:\n${what} '${printPath(table.path)}'.`)
    }
    const made: Stream = {
      path,
      table,
      mode: options.appendOnly ? 'APPEND_ONLY' : 'DEFAULT',
      createdAt: statement.startedAt,
      comment: options.comment,
      offset,
      movedAt: statement.startedAt,
      initial: options.initial,
    }
    if (old && replace) machine.catalog.dropStream(old)
    machine.catalog.addStream(made)
    return status(`Stream ${path.name} successfully created.`, TYPE_IDS.ddl)
  })
}

export async function dropStream(statement: Statement, cursor: TokenCursor): Promise<StatementResult> {
  const { machine, session } = statement
  const ifThere = cursor.accept('IF', 'EXISTS')
  const path = session.path(cursor.qualifiedName())
  cursor.expectEnd()
  await commitBefore(statement)
  const stream = machine.catalog.findStream(path)
  if (!stream && !ifThere) throw doesNotExist('Stream', printPath(path))
  if (stream) machine.catalog.dropStream(stream)
  return status(
    stream ? `${path.name} successfully dropped.` : `Drop statement executed successfully (${path.name} already dropped).`,
    TYPE_IDS.ddl,
  )
}
