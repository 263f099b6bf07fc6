// DuckDB's messages → tidemark's codes, in one place. DuckDB has no codes beyond the kind before the first colon, and puts row values
// into its messages: what is passed on is rebuilt from the parts that are names.

import { type ErrorCode, LoadError } from '../../core/errors.ts'

interface Rule {
  readonly pattern: RegExp
  readonly code: ErrorCode
  readonly message: (match: RegExpExecArray, path: string) => string
  readonly hint?: string
}

// The first that matches wins. Texts are those of DuckDB 1.5.
const RULES: readonly Rule[] = [
  {
    pattern: /Could not set lock on file.*?(?:\(PID (\d+)\)|$)/is,
    code: 'target-locked',
    message: (match, path) => `Another process${match[1] === undefined ? '' : ` (PID ${match[1]})`} has ${path} open.`,
  },
  {
    pattern: /No space left on device|disk (?:is )?full|failed to offload data block|could not (?:write|truncate) .*space/is,
    code: 'target-full',
    message: (_, path) => `There is no room left to write ${path}.`,
  },
  {
    pattern: /No such file or directory/i,
    code: 'missing-database',
    message: (_, path) => `The folder of ${path} does not exist.`,
    hint: 'Make the folder; the database file itself is made when missing.',
  },
  {
    pattern: /Permission denied|read-only (?:mode|file system|database)|EROFS|Cannot .* read-only/i,
    code: 'read-only-target',
    message: (_, path) => `${path} can't be written by this user.`,
    hint: 'Check the permissions of the file and of its folder.',
  },
  {
    pattern: /not a valid DuckDB database file|Is a directory|database file was created with|Corrupt database file|checksum/i,
    code: 'target-failed',
    message: (_, path) => `${path} is not a DuckDB database file that this version of DuckDB can read.`,
    hint: 'Check the path, and whether a newer DuckDB wrote the file.',
  },
  {
    pattern: /conflict on update|write-write conflict|Transaction conflict|cannot (?:update|delete|alter) .* altered|Conflict on tuple/i,
    code: 'try-again',
    message: () => 'Another transaction changed the same rows or tables first.',
  },
  {
    pattern: /Invalid unicode|invalid UTF-?8/i,
    code: 'value-refused',
    message: () => 'A text is not valid UTF-8.',
  },
  {
    pattern: /NOT NULL constraint failed: ([^\n]+)/i,
    code: 'constraint-violated',
    message: (match) => `Column ${match[1]} of the target may not be NULL.`,
  },
  {
    pattern: /PRIMARY KEY or UNIQUE constraint|duplicate key|violates (?:primary key|unique)/i,
    code: 'duplicate-key',
    message: () => 'Rows collide in a unique column of the target.',
  },
  {
    pattern: /Violates foreign key/i,
    code: 'constraint-violated',
    message: () => 'A foreign key of the target refused rows, or the removal of rows that are to be written again.',
    hint: 'Drop the foreign key: DuckDB checks each statement by itself, and has none that waits for the commit.',
  },
  {
    pattern: /CHECK constraint failed(?: on table (\S+))?|constraint/i,
    code: 'constraint-violated',
    message: () => 'A constraint of the target table refused rows.',
  },
  {
    pattern: /Ambiguous reference to catalog or schema "([^"]+)"/i,
    code: 'target-failed',
    message: (match, path) => `${path} is named like its schema "${match[1]}", and DuckDB can't tell the two apart.`,
    hint: 'Give the file, or the schema of the target tables, another name.',
  },
  {
    pattern: /^(?:Conversion|Out of Range) Error/i,
    code: 'value-refused',
    message: () => "A value can't be converted to the type of its column.",
  },
  {
    pattern: /^Out of Memory Error/i,
    code: 'target-failed',
    message: () => 'DuckDB ran out of the memory it may use.',
    hint: 'Raise `memory_limit` of the connection.',
  },
  {
    // It was not there when the plan was made.
    pattern: /^Catalog Error: Table with name (\S+) already exists/i,
    code: 'state-conflict',
    message: (match) => `Another run made table ${match[1]} first.`,
  },
  {
    pattern: /^Catalog Error: Table with name (\S+) does not exist/i,
    code: 'missing-table',
    message: (match) => `There is no table ${match[1]}.`,
  },
]

/** What a statement's or an opening's failure means. */
export function mapDuckdbError(message: string, path: string): LoadError {
  for (const { pattern, code, message: text, hint } of RULES) {
    const match = pattern.exec(message)
    if (match !== null) return new LoadError(code, text(match, path), hint === undefined ? {} : { hint })
  }
  const kind = /^([A-Z][A-Za-z -]*) Error\b/.exec(message)?.[1] ?? 'an unknown'
  // Parser, binder and catalog errors are about names and statements, never about rows.
  const told = /^(?:Parser|Binder|Catalog) Error/.test(message) ? (message.split('\n')[0] as string) : `DuckDB answered ${kind} error.`
  return new LoadError('target-failed', told)
}
