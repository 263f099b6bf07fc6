// COPY INTO a table from files of a stage. A field that is empty without quotes is NULL, one that is empty within quotes is not; a file that was
// loaded before is left out.

import type { Column, Table } from './catalog.ts'
import { cast } from './data-types.ts'
import { change, columnNamed, targetOf } from './dml.ts'
import { literal, quote } from './identifiers.ts'
import { fixedResult, type Row, type StatementResult, TYPE_IDS } from './results.ts'
import { type Insertion, insertRows } from './row-writer.ts'
import { SnowflakeError, unknown } from './snowflake-error.ts'
import type { StagedFile } from './stage-files.ts'
import { cursorOf, type Statement } from './statement.ts'
import { onlyFormat } from './time-formats.ts'
import { splitAtCommas, TokenCursor } from './token-cursor.ts'
import type { Token } from './tokenizer.ts'

interface CsvFormat {
  type: string
  compression: string
  fieldDelimiter: string
  recordDelimiter: string
  skipHeader: number
  enclosedBy: string
  escape: string
  escapeUnenclosed: string
  nullIf: string[]
  emptyIsNull: boolean
  countMatters: boolean
  trim: boolean
}

interface CopyOptions {
  files: string[] | null
  pattern: RegExp | null
  force: boolean
  purge: boolean
}

export function copyInto(statement: Statement): Promise<StatementResult> {
  const cursor = cursorOf(statement)
  cursor.expect('COPY', 'INTO')
  if (cursor.peek()?.kind === 'stage' || cursor.peek()?.kind === 'string') throw unknown('COPY INTO a stage')
  const table = targetOf(statement, cursor.qualifiedName())
  const columns = cursor.is('(') ? splitAtCommas(cursor.parenthesised()).map(([name]) => columnNamed(table, name!.text)) : table.columns
  cursor.expect('FROM')
  const inner = cursor.is('(') ? new TokenCursor(cursor.parenthesised()) : null
  const select = inner ? readSelect(inner) : null
  const location = readLocation(inner ?? cursor)
  const alias = inner && !inner.done ? inner.name() : null
  const { format, options } = readCopyOptions(cursor)
  if (alias !== null) throw unknown('an alias of a stage')
  let current: StagedFile | null = null
  const loading = change(statement, {
    table,
    privileges: ['INSERT'],
    locks: false,
    look: () => undefined,
    apply: async (into) => {
      const files = chosen(statement, location, options).filter((file) => options.force || !table.loaded.has(keyOf(file)))
      const rows: Row[] = []
      for (const file of files) {
        current = file
        rows.push(await loadFile(into, columns, file, format, select))
      }
      into.transaction.loaded.push(...files.map((file) => ({ table, file: keyOf(file) })))
      if (rows.length === 0) return fixedResult(['status'], [['Copy executed with 0 files processed.']], TYPE_IDS.copy)
      return fixedResult(COPY_COLUMNS, rows, TYPE_IDS.copy)
    },
  })
  return loading.catch(async (error: unknown) => {
    if (!(error instanceof SnowflakeError) || !current || select || format.type !== 'CSV') throw error
    throw await withPlace(statement, error, table, columns, current, format)
  })
}

/** Adds to an error in a value of a file where it stands. */
async function withPlace(
  { machine: { store } }: Statement,
  error: SnowflakeError,
  table: Table,
  columns: readonly Column[],
  file: StagedFile,
  format: CsvFormat,
): Promise<SnowflakeError> {
  const fields = readCsv(file, format, columns.length, false)
  return store.exclusive(async () => {
    for (const [index, { name, type }] of columns.entries()) {
      const field = quote(`$${index + 1}`)
      const value = type.name === 'VARCHAR' ? `left(${field}, ${type.length! + 1})` : cast(field, type, PLAIN_FORMATS, true)
      const isBad = type.name === 'VARCHAR' ? `length(${value}) > ${type.length}` : `${value} IS NULL`
      const [row] = await store.rows<bigint>(
        `SELECT n FROM (SELECT row_number() OVER () AS n, * FROM ${fields}) WHERE ${field} IS NOT NULL AND ${isBad} ORDER BY n LIMIT 1`,
      )
      if (!row) continue
      const line = format.skipHeader + Number(row[0])
      const place = `File '${file.name}', line ${line}, character 1\n  Row ${row[0]}, column "${table.path.name}"["${name}":${index + 1}]`
      return new SnowflakeError(error.code, error.sqlState, `${error.message}\n  ${place}`)
    }
    return error
  })
}

const PLAIN_FORMATS = onlyFormat('YYYY-MM-DD')

const COPY_COLUMNS = [
  'file',
  'status',
  'rows_parsed:fixed',
  'rows_loaded:fixed',
  'error_limit:fixed',
  'errors_seen:fixed',
  'first_error',
  'first_error_line:fixed',
  'first_error_character:fixed',
  'first_error_column_name',
]

const keyOf = ({ name, md5 }: StagedFile) => `${name}\0${md5}`

function readSelect(cursor: TokenCursor): Token[] {
  cursor.expect('SELECT')
  const items = cursor.until('FROM')
  cursor.expect('FROM')
  return items
}

function readLocation(cursor: TokenCursor): string {
  const token = cursor.next()
  if (token.kind === 'stage' || (token.kind === 'string' && token.text.startsWith('@'))) return token.text
  throw unknown('COPY INTO from anything but a stage')
}

function chosen({ machine, session }: Statement, location: string, { files, pattern }: CopyOptions): StagedFile[] {
  const all = machine.stage.list(location, session)
  if (files) {
    const { prefix } = machine.stage.place(location, session)
    return files.map((name) => {
      const whole = prefix === '' || prefix.endsWith('/') ? `${prefix}${name}` : `${prefix}/${name}`
      const file = all.find((one) => one.name === whole)
      if (!file) throw new SnowflakeError('091016', '22000', `Remote file '${name}' was not found.`)
      return file
    })
  }
  return pattern ? all.filter(({ name }) => pattern.test(name)) : all
}

async function loadFile(
  into: Insertion,
  columns: readonly Column[],
  file: StagedFile,
  format: CsvFormat,
  select: readonly Token[] | null,
): Promise<Row> {
  const { store } = into
  const width = select
    ? Math.max(1, ...select.filter(({ text }) => /^\$\d+$/.test(text)).map(({ text }) => Number(text.slice(1))))
    : columns.length
  const fields = format.type === 'CSV' ? readCsv(file, format, width, select !== null) : readParquet(file)
  const query = select
    ? `SELECT ${into.reader.rewriter.expression(select)} FROM ${fields}`
    : format.type === 'CSV'
      ? `SELECT * FROM ${fields}`
      : byName(fields, columns, await store.describe(`SELECT * FROM ${fields}`))
  const loaded = String(await insertRows(into, columns, query, true))
  return [file.name, 'LOADED', loaded, loaded, '1', '0', null, null, null, null]
}

function readParquet(file: StagedFile): string {
  return `read_parquet(${literal(file.path)})`
}

/** MATCH_BY_COLUMN_NAME, in any case. */
function byName(fields: string, columns: readonly Column[], found: readonly { readonly name: string }[]): string {
  const values = columns.map(({ name }) => {
    const field = found.find((one) => one.name.toUpperCase() === name.toUpperCase())
    return field ? `"${field.name.replaceAll('"', '""')}"` : 'NULL'
  })
  return `SELECT ${values.join(', ')} FROM ${fields}`
}

function readCsv(file: StagedFile, format: CsvFormat, width: number, mayLack: boolean): string {
  const names = Array.from({ length: width }, (_, index) => `$${index + 1}`)
  const nulls = format.emptyIsNull ? `['']` : `['\u0003']`
  const options = [
    'header = false',
    'auto_detect = false',
    `columns = {${names.map((name) => `${literal(name)}: 'VARCHAR'`).join(', ')}}`,
    `delim = ${literal(format.fieldDelimiter)}`,
    `quote = ${literal(format.enclosedBy)}`,
    `escape = ${literal(format.enclosedBy)}`,
    `new_line = '\\n'`,
    `skip = ${format.skipHeader}`,
    `nullstr = ${nulls}`,
    'allow_quoted_nulls = false',
    'max_line_size = 16777216',
    `compression = ${literal(file.name.endsWith('.gz') ? 'gzip' : file.name.endsWith('.zst') ? 'zstd' : 'none')}`,
    ...(mayLack || !format.countMatters ? ['null_padding = true'] : []),
  ]
  const value = (name: string) => {
    const read = format.trim ? `trim("${name}")` : `"${name}"`
    return format.nullIf.reduce((sql, one) => `nullif(${sql}, ${literal(one)})`, read)
  }
  return `(SELECT ${names.map((name) => `${value(name)} AS ${quote(name)}`).join(', ')} FROM read_csv(${literal(file.path)}, ${options.join(', ')}))`
}

function readCopyOptions(cursor: TokenCursor): { readonly format: CsvFormat; readonly options: CopyOptions } {
  let format: CsvFormat | null = null
  const options: CopyOptions = { files: null, pattern: null, force: false, purge: false }
  while (!cursor.done) {
    if (cursor.accept('FILE_FORMAT', '=')) format = readFormat(new TokenCursor(cursor.parenthesised()))
    else if (cursor.accept('FILES', '=')) options.files = strings(cursor)
    else if (cursor.accept('PATTERN', '=')) options.pattern = new RegExp(`^${cursor.string()}$`)
    else if (cursor.accept('FORCE', '=')) options.force = cursor.boolean()
    else if (cursor.accept('PURGE', '=')) options.purge = cursor.boolean()
    else if (cursor.accept('ON_ERROR', '=')) {
      const word = cursor.next().text.toUpperCase()
      if (word !== 'ABORT_STATEMENT') throw unknown(`ON_ERROR = ${word}`)
    } else if (cursor.accept('MATCH_BY_COLUMN_NAME', '=')) cursor.next()
    else throw unknown(`${cursor.peek()!.text} at COPY INTO`)
  }
  if (options.purge) throw unknown('PURGE = TRUE')
  if (!format) throw unknown('COPY INTO without FILE_FORMAT')
  return { format, options }
}

function strings(cursor: TokenCursor): string[] {
  return splitAtCommas(cursor.parenthesised()).map(([one]) => one!.text)
}

function readFormat(cursor: TokenCursor): CsvFormat {
  const format: CsvFormat = {
    type: 'CSV',
    compression: 'AUTO',
    fieldDelimiter: ',',
    recordDelimiter: '\n',
    skipHeader: 0,
    enclosedBy: '',
    escape: 'NONE',
    escapeUnenclosed: '\\',
    nullIf: ['\\N'],
    emptyIsNull: true,
    countMatters: true,
    trim: false,
  }
  const text = () => cursor.next().text
  const setters: Record<string, () => void> = {
    TYPE: () => (format.type = text().toUpperCase()),
    COMPRESSION: () => (format.compression = text().toUpperCase()),
    FIELD_DELIMITER: () => (format.fieldDelimiter = text()),
    RECORD_DELIMITER: () => (format.recordDelimiter = text()),
    SKIP_HEADER: () => (format.skipHeader = cursor.number()),
    FIELD_OPTIONALLY_ENCLOSED_BY: () => (format.enclosedBy = text().replace(/^NONE$/i, '')),
    ESCAPE: () => (format.escape = text().toUpperCase()),
    ESCAPE_UNENCLOSED_FIELD: () => (format.escapeUnenclosed = text()),
    NULL_IF: () => (format.nullIf = strings(cursor)),
    EMPTY_FIELD_AS_NULL: () => (format.emptyIsNull = cursor.boolean()),
    ERROR_ON_COLUMN_COUNT_MISMATCH: () => (format.countMatters = cursor.boolean()),
    TRIM_SPACE: () => (format.trim = cursor.boolean()),
    ENCODING: () => refuseUnless(/^UTF-?8$/i.test(text()), 'an ENCODING but UTF8'),
    BINARY_FORMAT: () => refuseUnless(text().toUpperCase() === 'HEX', 'a BINARY_FORMAT but HEX'),
    REPLACE_INVALID_CHARACTERS: () => refuseUnless(!cursor.boolean(), 'REPLACE_INVALID_CHARACTERS'),
    SKIP_BLANK_LINES: () => refuseUnless(!cursor.boolean(), 'SKIP_BLANK_LINES'),
    USE_LOGICAL_TYPE: () => void cursor.boolean(),
    BINARY_AS_TEXT: () => void cursor.boolean(),
    TIMESTAMP_FORMAT: () => refuseUnless(text().toUpperCase() === 'AUTO', 'a TIMESTAMP_FORMAT but AUTO'),
    DATE_FORMAT: () => refuseUnless(/^(AUTO|YYYY-MM-DD)$/i.test(text()), 'a DATE_FORMAT but AUTO'),
    TIME_FORMAT: () => refuseUnless(text().toUpperCase() === 'AUTO', 'a TIME_FORMAT but AUTO'),
  }
  while (!cursor.done) {
    const name = cursor.name()
    cursor.expect('=')
    const set = setters[name]
    if (!set) throw unknown(`the file format option ${name}`)
    set()
    cursor.accept(',')
  }
  refuseUnless(format.type === 'CSV' || format.type === 'PARQUET', `files of type ${format.type}`)
  refuseUnless(format.recordDelimiter === '\n', 'another RECORD_DELIMITER than a line feed')
  refuseUnless(format.escape === 'NONE', 'ESCAPE')
  const unescaped = format.type !== 'CSV' || format.escapeUnenclosed.toUpperCase() === 'NONE'
  refuseUnless(unescaped, 'ESCAPE_UNENCLOSED_FIELD but NONE; by default Snowflake takes backslashes out of fields without quotes')
  return format
}

function refuseUnless(fine: boolean, what: string): void {
  if (!fine) throw unknown(what)
}
