// Every error tidemark can end with, in one table. docs/errors.md and `tidemark errors` are made from it.

export interface ErrorKind {
  /** `backoff`: observe again after a pause. `never`: only a person can help. */
  readonly retry: 'never' | 'backoff'
  readonly exit: 1 | 2 | 3 | 4 | 5 | 130
  /** What it means, in one sentence. */
  readonly meaning: string
  /** What to do next; an error may bring better advice of its own. */
  readonly hint: string
}

export const ERRORS = {
  'bad-usage': { retry: 'never', exit: 2, meaning: "The command line can't be understood.", hint: 'See `tidemark --help`.' },
  'bad-project': { retry: 'never', exit: 2, meaning: 'The project file is wrong.', hint: 'Correct the named places.' },
  'missing-project': {
    retry: 'never',
    exit: 2,
    meaning: 'There is no project file.',
    hint: 'Name it with -c FILE, or write one with `tidemark init`.',
  },
  'unknown-pipeline': {
    retry: 'never',
    exit: 2,
    meaning: 'The project has no pipeline of that name.',
    hint: 'Pick one of the pipelines of the project file.',
  },
  'definition-changed': {
    retry: 'never',
    exit: 2,
    meaning: 'The pipeline is no longer what its stored position belongs to.',
    hint: 'Undo the change, load everything again with `--full-refresh`, or give the pipeline a new name.',
  },
  'late-rows-unsafe': {
    retry: 'never',
    exit: 2,
    meaning: "The way asked for can't keep late rows from being lost or doubled here.",
    hint: 'Choose another `late_rows`.',
  },
  'missing-key': {
    retry: 'never',
    exit: 2,
    meaning: 'The write strategy needs a key, and there is none.',
    hint: 'Name the columns that identify a row with `key: […]`, or use `write: append`.',
  },
  'unusable-cursor': {
    retry: 'never',
    exit: 2,
    meaning: 'Values of this column have no order that can be relied on.',
    hint: 'Use a timestamp, date, integer or decimal column as cursor.',
  },
  'unknown-partition': {
    retry: 'never',
    exit: 2,
    meaning: 'The pipeline has no such partition.',
    hint: 'Look at its keys with `tidemark plan` or `tidemark partitions list`.',
  },
  'unusable-partition': {
    retry: 'never',
    exit: 2,
    meaning: "A table can't be cut into partitions this way.",
    hint: 'Choose another column or another way in `partition`.',
  },
  'lossy-partition': {
    retry: 'never',
    exit: 2,
    meaning: "The target's column can't tell the partitions apart as the source's does.",
    hint: "Give the target's column the type of the source's.",
  },
  'too-many-partitions': {
    retry: 'never',
    exit: 2,
    meaning: 'More than 100,000 partitions would be made.',
    hint: 'Choose a larger unit or size, a later `first`, or repeat with --yes.',
  },
  'shared-target': {
    retry: 'never',
    exit: 2,
    meaning: 'Two pipelines write the same table.',
    hint: 'Give each pipeline a target table of its own.',
  },
  'bad-value': {
    retry: 'never',
    exit: 2,
    meaning: "A value given for a cursor can't be read as one.",
    hint: 'Write it as the source database would print it.',
  },
  unreachable: {
    retry: 'backoff',
    exit: 3,
    meaning: "The server can't be reached.",
    hint: 'Check host and port, and that the server is running.',
  },
  'connection-lost': {
    retry: 'backoff',
    exit: 3,
    meaning: 'The connection broke in the middle.',
    hint: 'Run again: nothing was lost or doubled.',
  },
  'authentication-failed': {
    retry: 'never',
    exit: 3,
    meaning: 'The server refused user or password.',
    hint: 'Check user and password of the connection.',
  },
  'tls-failed': {
    retry: 'never',
    exit: 3,
    meaning: "The encrypted connection could not be made or the server's certificate not be verified.",
    hint: "Give the authority's certificate with `tls: { ca: … }`, or set `tls` as the server needs it.",
  },
  'missing-database': {
    retry: 'never',
    exit: 3,
    meaning: 'There is no such database.',
    hint: 'Check the database name in the connection.',
  },
  'missing-table': {
    retry: 'never',
    exit: 3,
    meaning: 'There is no such table, or it is not visible to this user.',
    hint: 'Check the spelling; a name with capitals or odd characters stands in double quotes.',
  },
  'missing-column': { retry: 'never', exit: 3, meaning: 'A named column does not exist.', hint: 'Check the spelling.' },
  'unknown-columns': {
    retry: 'never',
    exit: 3,
    meaning: 'Nothing says which columns a table has whose changes come by topics, or of which types they are.',
    hint: 'Name the database with `connector: { from: … }`, let the connector send schemas, make the table in the target, or write its columns into the project file with `declare`.',
  },
  'missing-privilege': {
    retry: 'never',
    exit: 3,
    meaning: 'The user may not do that.',
    hint: 'Grant the privilege; `tidemark check` prints the statements.',
  },
  'missing-driver': {
    retry: 'never',
    exit: 3,
    meaning: 'The library for this kind of database is not installed.',
    hint: 'Install it with npm.',
  },
  'unsupported-server': {
    retry: 'never',
    exit: 3,
    meaning: 'The server lacks something tidemark needs.',
    hint: 'Use a supported version.',
  },
  'warehouse-unavailable': {
    retry: 'never',
    exit: 3,
    meaning: 'There is no warehouse that the statements could run on.',
    hint: 'Name one in the connection that its role may use and resume.',
  },
  'read-only-target': {
    retry: 'never',
    exit: 3,
    meaning: 'The target takes no writes.',
    hint: 'Connect to the primary, with a user that may write.',
  },
  'target-locked': {
    retry: 'backoff',
    exit: 3,
    meaning: 'Another process has the target open.',
    hint: 'Close the other process, or run again when it is done.',
  },
  'target-full': {
    retry: 'never',
    exit: 3,
    meaning: 'The target has no room left.',
    hint: 'Free space, then run again: nothing was half-written.',
  },
  'target-missing': {
    retry: 'never',
    exit: 3,
    meaning: 'A position is stored, but the target table is gone.',
    hint: 'Load everything again with `--full-refresh`.',
  },
  'state-newer': { retry: 'never', exit: 3, meaning: 'The state tables were written by a newer tidemark.', hint: 'Update tidemark.' },
  'state-corrupted': {
    retry: 'never',
    exit: 3,
    meaning: "The stored state can't be read.",
    hint: 'Copy `to_position` of its newest row in pipeline_history to `position` in pipeline_watermarks; or delete its rows in both tables, and load again with `--full-refresh`.',
  },
  'source-failed': { retry: 'never', exit: 1, meaning: 'The source refused a statement.', hint: "See the server's message." },
  'target-failed': { retry: 'never', exit: 1, meaning: 'The target refused a statement.', hint: "See the server's message." },
  'try-again': {
    retry: 'backoff',
    exit: 1,
    meaning: 'The database asked to repeat the transaction (deadlock, serialization, lock timeout, standby conflict).',
    hint: 'Run again.',
  },
  'statement-timeout': {
    retry: 'never',
    exit: 1,
    meaning: 'The server ended a statement that took longer than it allows.',
    hint: 'Raise STATEMENT_TIMEOUT_IN_SECONDS of the user or the warehouse, or take a larger warehouse.',
  },
  'null-cursor': {
    retry: 'never',
    exit: 1,
    meaning: 'Rows have no cursor value and would never load.',
    hint: 'Fill the column, or set `null_cursor: include` (loaded on every run) or `exclude`.',
  },
  'null-partition': {
    retry: 'never',
    exit: 1,
    meaning: 'Rows have NULL in the partition column and belong to no partition.',
    hint: 'Fill the column, or set `partition: { nulls: include }` (a partition of their own) or `exclude`.',
  },
  'partition-shrank': {
    retry: 'never',
    exit: 1,
    meaning: 'A partition would lose more rows than `max_shrink` allows.',
    hint: 'Look at the source. If the rows are gone for good, set `allow_shrink: true`, or a larger `max_shrink`.',
  },
  'partitions-failed': {
    retry: 'never',
    exit: 1,
    meaning: 'Some partitions could not be loaded; the others are in.',
    hint: 'Mend what is named, then `tidemark partitions retry PIPELINE`.',
  },
  'null-key': {
    retry: 'never',
    exit: 1,
    meaning: "Rows have NULL in a key column and can't be told apart.",
    hint: 'Choose a key without NULL.',
  },
  'duplicate-key': {
    retry: 'never',
    exit: 1,
    meaning: 'Rows collide in a unique column of the target.',
    hint: 'Choose the key that is unique, or drop the constraint.',
  },
  'value-refused': {
    retry: 'never',
    exit: 1,
    meaning: "The target can't hold a value of the source.",
    hint: 'Change the type of the target column, leave the column out with `columns: { exclude: […] }`, or convert it in a `query`.',
  },
  'constraint-violated': {
    retry: 'never',
    exit: 1,
    meaning: 'A constraint of the target table refused rows.',
    hint: 'Drop or change the constraint.',
  },
  'schema-frozen': {
    retry: 'never',
    exit: 1,
    meaning: 'The tables differ, and the pipeline may not change the target.',
    hint: 'Change the target by hand, or set `on_schema_change: evolve`.',
  },
  'schema-conflict': {
    retry: 'never',
    exit: 1,
    meaning: "A column of the target has a type that can't hold the source's.",
    hint: 'Change the type of the target column, or leave the column out with `columns: { exclude: […] }`.',
  },
  'no-common-format': {
    retry: 'never',
    exit: 1,
    meaning: 'Source and target speak no common format.',
    hint: 'This is a bug of a connector.',
  },
  'strategy-unsupported': {
    retry: 'never',
    exit: 2,
    meaning: 'The target does not know this write strategy.',
    hint: 'Choose another `write`.',
  },
  'log-corrupted': {
    retry: 'backoff',
    exit: 1,
    meaning: "The source's log can't be read as what it should be.",
    hint: 'Run again. If it happens again at the same place, please report it with the version of the source.',
  },
  'bad-message': {
    retry: 'never',
    exit: 1,
    meaning: "A message of a topic can't be read as a change.",
    hint: 'Nothing was skipped. See what writes to the topic, and with which settings.',
  },
  'log-lost': {
    retry: 'never',
    exit: 3,
    meaning: 'The log of the source no longer reaches back to the position that is stored.',
    hint: 'Nothing was skipped. Copy the tables again with `--full-refresh`, or restore what the log was.',
  },
  'log-unavailable': {
    retry: 'never',
    exit: 3,
    meaning: 'The source does not keep a log that changes can be read from.',
    hint: 'See what `tidemark check` says about wal_level, privileges, slots and replica identities.',
  },
  'transaction-incomplete': {
    retry: 'backoff',
    exit: 3,
    meaning: 'The topics have a part of a transaction of the source, and the rest does not come.',
    hint: 'See whether the connector runs, with `tidemark connector status PIPELINE`. Nothing of the transaction was written; run again.',
  },
  'disk-failed': {
    retry: 'never',
    exit: 3,
    meaning: "The temporary folder of this machine has no room, or can't be written.",
    hint: 'Free space there, or name another folder with the environment variable TMPDIR. Nothing was half-written.',
  },
  'connector-busy': {
    retry: 'backoff',
    exit: 3,
    meaning: "Kafka Connect can't do it now: its workers are sharing out their work anew, or it had an error of its own.",
    hint: 'Run again. If it stays so, look into the log of Kafka Connect.',
  },
  'connector-failed': {
    retry: 'never',
    exit: 1,
    meaning: 'A connector of Kafka Connect, or one of its tasks, has failed.',
    hint: 'Mend the named cause, then `tidemark connector restart PIPELINE`.',
  },
  'connector-refused': {
    retry: 'never',
    exit: 2,
    meaning: 'Kafka Connect refuses the configuration of the connector.',
    hint: 'Correct the named properties: their values come from the pipeline and from the connection that `connector: { from: … }` names.',
  },
  'missing-connector': {
    retry: 'never',
    exit: 3,
    meaning: 'Kafka Connect has no connector of that name.',
    hint: 'Check `connector: { name: … }`, or register it with `tidemark connector register PIPELINE`.',
  },
  'missing-plugin': {
    retry: 'never',
    exit: 3,
    meaning: "Kafka Connect lacks the plugin that reads the source's log.",
    hint: "Put Debezium's connector for PostgreSQL into a folder of the workers' `plugin.path`, and start them again.",
  },
  'row-missing': {
    retry: 'never',
    exit: 1,
    meaning: 'The target lacks a row that the source has changed: somebody else has written to the table.',
    hint: 'Copy the table again with `--resync TABLE`, and let nobody else write to it.',
  },
  'quarantine-full': {
    retry: 'never',
    exit: 1,
    meaning: 'More rows than `max_quarantined` do not fit into the target: that is hardly the fault of the rows.',
    hint: 'See why with `tidemark quarantine list PIPELINE`; mend the target, then `tidemark quarantine replay PIPELINE`, or raise `max_quarantined`.',
  },
  'short-read': { retry: 'backoff', exit: 1, meaning: 'Fewer rows arrived than the source said it sent.', hint: 'Run again.' },
  'state-conflict': {
    retry: 'never',
    exit: 5,
    meaning: 'Another run moved this pipeline first.',
    hint: 'Nothing is lost or doubled. Run again if need be.',
  },
  stopped: {
    retry: 'never',
    exit: 130,
    meaning: 'The run was stopped by a signal.',
    hint: 'Nothing was half-written. Run again to go on.',
  },
  bug: { retry: 'never', exit: 1, meaning: 'tidemark broke one of its own rules.', hint: 'Please report it with the output of `-v`.' },
} as const satisfies Record<string, ErrorKind>

export type ErrorCode = keyof typeof ERRORS

/** Where in the user's own files or databases the trouble is: `tidemark.yml:7:3`, `connection shop`. */
export interface LoadErrorOptions {
  readonly cause?: unknown
  readonly hint?: string
  readonly where?: string
}

/** The one error that leaves tidemark. Its message carries names, counts and positions; never values of rows, never secrets. */
export class LoadError extends Error {
  readonly code: ErrorCode
  readonly hint: string
  readonly where: string | null

  constructor(code: ErrorCode, message: string, options: LoadErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'LoadError'
    this.code = code
    this.hint = options.hint ?? ERRORS[code].hint
    this.where = options.where ?? null
  }
}

/** Any thrown thing as a LoadError; what is no LoadError already is a bug. */
export function asLoadError(thrown: unknown): LoadError {
  if (thrown instanceof LoadError) return thrown
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  return new LoadError('bug', message, { cause: thrown })
}
