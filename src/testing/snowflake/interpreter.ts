// Knows every kind of statement by its first words, and refuses all others by name.

import { copyInto } from './copy-into.ts'
import { insert, remove, truncate, update } from './dml.ts'
import { merge } from './merge.ts'
import { describeRows, fixedResult, keepRows, type StatementResult, status, TYPE_IDS } from './results.ts'
import type { Session } from './session.ts'
import { describe, show } from './show.ts'
import { doesNotExist, SnowflakeError, unknown } from './snowflake-error.ts'
import { listStage, removeFromStage, transfer } from './stage-files.ts'
import { type Binds, cursorOf, Reader, type Statement } from './statement.ts'
import { createStream, dropStream } from './stream-ddl.ts'
import { alterTable, commitBefore, createTable, dropTable } from './table-ddl.ts'
import type { TokenCursor } from './token-cursor.ts'
import { splitStatements, type Token, tokenize } from './tokenizer.ts'

export interface Request {
  readonly sql: string
  readonly binds: Binds
  readonly describeOnly: boolean
  /** How many statements the client says that it sends; 0 for any number. */
  readonly count: number
}

/** The statements of a request, each to be run in its turn. */
export function statementsOf({ sql, count }: Request): readonly (readonly Token[])[] {
  if (/^\s*(put|get)\b/i.test(sql)) return [[]]
  const statements = splitStatements(tokenize(sql))
  if (statements.length === 0) throw new SnowflakeError('000900', '42601', 'SQL compilation error:\nEmpty SQL statement.')
  if (count !== 0 && statements.length !== count) {
    const text = `Actual statement count ${statements.length} did not match the desired statement count ${count}.`
    throw new SnowflakeError('000008', '0A000', text)
  }
  return statements
}

export async function execute(statement: Statement, describeOnly: boolean): Promise<StatementResult> {
  const { machine, session, source, tokens } = statement
  const transferred = transfer(source, machine.stage, session)
  if (transferred) return transferred
  machine.versionsBefore.set(statement.queryId, machine.store.version)
  const first = tokens[0]!
  if (first.text === '(' || first.text === 'SELECT' || first.text === 'WITH') return query(statement, describeOnly)
  const run = first.kind === 'word' ? STATEMENTS[first.text] : undefined
  if (!run) throw unknown(`the statement ${first.text}`)
  if (describeOnly) return fixedResult(['status'], [])
  return run(statement)
}

async function query(statement: Statement, describeOnly: boolean): Promise<StatementResult> {
  const { machine, session, tokens, signal } = statement
  const aborted = abortOfCall(statement)
  if (aborted) return aborted()
  return machine.store.exclusive(async () => {
    const reader = new Reader(statement, session.transaction)
    const sql = reader.rewriter.query(tokens)
    if (reader.usesWarehouse) machine.faults.checkWarehouse(session.warehouse)
    return describeOnly ? describeRows(machine.store, sql) : keepRows(machine.store, sql)
  }, signal)
}

/** SELECT SYSTEM$ABORT_SESSION(n), which is an action. */
function abortOfCall({ machine, tokens }: Statement): (() => Promise<StatementResult>) | null {
  if (tokens[1]?.text !== 'SYSTEM$ABORT_SESSION') return null
  const id = Number(tokens[3]?.text)
  return async () => {
    const found = await machine.endSession(id)
    return fixedResult(['SYSTEM$ABORT_SESSION'], [[found ? `Session ${id} terminated.` : `Session ${id} not found.`]], TYPE_IDS.select)
  }
}

type Run = (statement: Statement) => StatementResult | Promise<StatementResult>

const STATEMENTS: Readonly<Record<string, Run>> = {
  ALTER: (statement) => (cursorOf(statement).is('ALTER', 'SESSION') ? alterSession(statement) : alterOther(statement)),
  BEGIN: begin,
  COMMIT: commit,
  COPY: copyInto,
  CREATE: create,
  DELETE: remove,
  DESC: describe,
  DESCRIBE: describe,
  DROP: drop,
  INSERT: insert,
  LIST: (statement) => listStage(locationOf(statement), statement.machine.stage, statement.session),
  LS: (statement) => listStage(locationOf(statement), statement.machine.stage, statement.session),
  MERGE: merge,
  REMOVE: (statement) => removeFromStage(locationOf(statement), statement.machine.stage, statement.session),
  RM: (statement) => removeFromStage(locationOf(statement), statement.machine.stage, statement.session),
  ROLLBACK: rollback,
  SHOW: show,
  START: begin,
  TRUNCATE: truncate,
  UPDATE: update,
  USE: use,
}

function locationOf(statement: Statement): string {
  const cursor = cursorOf(statement)
  cursor.next()
  const token = cursor.next()
  cursor.expectEnd()
  if (token.kind !== 'stage' && token.kind !== 'string') throw cursor.unexpected()
  return token.text
}

function begin(statement: Statement): StatementResult {
  const cursor = cursorOf(statement)
  if (cursor.next().text === 'START') cursor.expect('TRANSACTION')
  else if (!cursor.accept('TRANSACTION')) cursor.accept('WORK')
  const name = cursor.accept('NAME') ? cursor.name() : ''
  cursor.expectEnd()
  const { session, machine } = statement
  if (!session.transaction) machine.transactions.begin(session, false, name)
  return status()
}

async function commit(statement: Statement): Promise<StatementResult> {
  const cursor = cursorOf(statement)
  cursor.expect('COMMIT')
  cursor.accept('WORK')
  cursor.expectEnd()
  await commitBefore(statement)
  return status()
}

async function rollback(statement: Statement): Promise<StatementResult> {
  const cursor = cursorOf(statement)
  cursor.expect('ROLLBACK')
  cursor.accept('WORK')
  cursor.expectEnd()
  const { session, machine } = statement
  if (session.transaction) await machine.transactions.rollback(session.transaction)
  return status()
}

async function create(statement: Statement): Promise<StatementResult> {
  const cursor = cursorOf(statement)
  cursor.expect('CREATE')
  const replace = cursor.accept('OR', 'REPLACE')
  if (cursor.accept('STREAM')) return createStream(statement, cursor, replace)
  if (cursor.is('SCHEMA') || cursor.is('TRANSIENT', 'SCHEMA') || cursor.is('DATABASE')) return createSchema(statement, cursor, replace)
  const isLocal = cursor.accept('LOCAL') || cursor.accept('GLOBAL')
  const temporary = cursor.accept('TEMPORARY') || cursor.accept('TEMP')
  const transient = !temporary && !isLocal && cursor.accept('TRANSIENT')
  if (!cursor.accept('TABLE')) throw unknown(`CREATE ${cursor.peek()?.text ?? ''}`)
  return createTable(statement, cursor, replace, temporary ? 'TEMPORARY' : transient ? 'TRANSIENT' : 'TABLE')
}

async function createSchema(statement: Statement, cursor: TokenCursor, replace: boolean): Promise<StatementResult> {
  if (replace) throw unknown('CREATE OR REPLACE SCHEMA')
  const { machine, session } = statement
  const isDatabase = cursor.accept('DATABASE')
  if (!isDatabase) {
    cursor.accept('TRANSIENT')
    cursor.expect('SCHEMA')
  }
  const unlessThere = cursor.accept('IF', 'NOT', 'EXISTS')
  const parts = cursor.qualifiedName()
  cursor.expectEnd()
  await commitBefore(statement)
  const name = parts.at(-1)!
  const there = isDatabase
    ? machine.catalog.hasDatabase(name)
    : machine.catalog.schemasOf(parts.length > 1 ? parts[0]! : databaseOf(session)).has(name)
  if (there && !unlessThere) throw new SnowflakeError('002002', '42710', `SQL compilation error:\nObject '${name}' already exists.`)
  if (there) return status(`${name} already exists, statement succeeded.`, TYPE_IDS.ddl)
  if (isDatabase) {
    machine.catalog.createDatabase(name)
    session.database = name
    session.schema = 'PUBLIC'
  } else {
    session.database = parts.length > 1 ? parts[0]! : databaseOf(session)
    machine.catalog.schemasOf(session.database).add(name)
    session.schema = name
  }
  return status(`${isDatabase ? 'Database' : 'Schema'} ${name} successfully created.`, TYPE_IDS.ddl)
}

function databaseOf({ database }: Session): string {
  if (database === null)
    throw new SnowflakeError('090105', '22000', 'Cannot perform operation. This session does not have a current database.')
  return database
}

async function drop(statement: Statement): Promise<StatementResult> {
  const cursor = cursorOf(statement)
  cursor.expect('DROP')
  if (cursor.accept('TABLE')) return dropTable(statement, cursor)
  if (cursor.accept('STREAM')) return dropStream(statement, cursor)
  if (!cursor.accept('SCHEMA')) throw unknown(`DROP ${cursor.peek()?.text ?? ''}`)
  const { machine, session } = statement
  const ifThere = cursor.accept('IF', 'EXISTS')
  const parts = cursor.qualifiedName()
  if (!cursor.accept('CASCADE')) cursor.accept('RESTRICT')
  cursor.expectEnd()
  await commitBefore(statement)
  const database = parts.length > 1 ? parts[0]! : databaseOf(session)
  const name = parts.at(-1)!
  if (!machine.catalog.schemasOf(database).has(name) && !ifThere) throw doesNotExist('Schema', `${database}.${name}`)
  machine.catalog.dropSchema(database, name)
  return status(`${name} successfully dropped.`, TYPE_IDS.ddl)
}

function alterOther(statement: Statement): Promise<StatementResult> {
  const cursor = cursorOf(statement)
  if (cursor.is('ALTER', 'TABLE')) return alterTable(statement)
  throw unknown(`ALTER ${cursor.peek(1)?.text ?? ''}`)
}

function alterSession(statement: Statement): StatementResult {
  const cursor = cursorOf(statement)
  cursor.expect('ALTER', 'SESSION')
  const { session } = statement
  if (cursor.accept('UNSET')) {
    do session.unset(cursor.name())
    while (cursor.accept(','))
  } else {
    cursor.expect('SET')
    while (!cursor.done) {
      const name = cursor.name()
      cursor.expect('=')
      session.set(name, cursor.next().text)
      cursor.accept(',')
    }
  }
  cursor.expectEnd()
  return status()
}

function use(statement: Statement): StatementResult {
  const cursor = cursorOf(statement)
  cursor.expect('USE')
  const { session, machine } = statement
  if (cursor.accept('WAREHOUSE')) {
    const name = cursor.name()
    if (name !== machine.warehouse) {
      throw new SnowflakeError('002043', '02000', 'SQL compilation error:\nObject does not exist, or operation cannot be performed.')
    }
    session.warehouse = name
  } else if (cursor.accept('ROLE')) session.role = cursor.name()
  else if (cursor.accept('SECONDARY')) throw unknown('USE SECONDARY ROLES')
  else {
    const isSchema = cursor.accept('SCHEMA')
    if (!isSchema) cursor.accept('DATABASE')
    const parts = cursor.qualifiedName()
    const database = isSchema && parts.length === 1 ? databaseOf(session) : parts[0]!
    const schema = isSchema || parts.length > 1 ? parts.at(-1)! : 'PUBLIC'
    machine.catalog.checkSchema({ database, schema })
    session.database = database
    session.schema = schema
  }
  cursor.expectEnd()
  return status()
}
