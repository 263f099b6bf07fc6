import { describe, expect, test } from 'vitest'
import { mapDuckdbError } from './errors.ts'

const PATH = '/data/w.duckdb'

describe('messages of DuckDB', () => {
  test.each([
    [
      'IO Error: Could not set lock on file "/data/w.duckdb": Conflicting lock is held in /usr/bin/python3.11 (PID 4711). See also https://…',
      'target-locked',
    ],
    ['IO Error: Could not set lock on file "/data/w.duckdb": Resource temporarily unavailable', 'target-locked'],
    ['IO Error: Cannot open file "/data/w.duckdb": Permission denied', 'read-only-target'],
    ['IO Error: Cannot open file "/data/w.duckdb": Read-only file system', 'read-only-target'],
    ['IO Error: Cannot open file "/nowhere/w.duckdb": No such file or directory', 'missing-database'],
    ['IO Error: Could not write file "/data/w.duckdb": No space left on device', 'target-full'],
    ['TransactionContext Error: Failed to commit: write-write conflict on key: "orders_etl"', 'try-again'],
    ['TransactionContext Error: Conflict on update!', 'try-again'],
    ['TransactionContext Error: Catalog write-write conflict on create with "orders"', 'try-again'],
    ['Constraint Error: Duplicate key "id: 4711" violates primary key constraint.', 'duplicate-key'],
    ['Constraint Error: CHECK constraint failed on table t with expression CHECK((a > 0))', 'constraint-violated'],
    ["Conversion Error: Could not convert string '4711' to BOOL", 'value-refused'],
    ['Out of Memory Error: failed to allocate data of size 16.0 MiB', 'target-failed'],
    ['Serialization Error: something of the future', 'target-failed'],
  ])('%s', (message, code) => {
    expect(mapDuckdbError(message, PATH)).toMatchObject({ code })
  })

  test('a file that is named like its schema is told so', () => {
    const error = mapDuckdbError('Binder Error: Ambiguous reference to catalog or schema "w" - use a fully qualified path like "w.w"', PATH)
    expect(error.message).toBe('/data/w.duckdb is named like its schema "w", and DuckDB can\'t tell the two apart.')
  })

  test('the process that holds the lock is named, values are not', () => {
    expect(
      mapDuckdbError('IO Error: Could not set lock on file "x": Conflicting lock is held in python (PID 4711).', PATH).message,
    ).toContain('PID 4711')
    expect(mapDuckdbError('Constraint Error: Duplicate key "id: 4711" violates unique constraint.', PATH).message).not.toContain('4711')
    expect(mapDuckdbError("Conversion Error: Could not convert string '4711' to BOOL", PATH).message).not.toContain('4711')
    expect(mapDuckdbError('Invalid Input Error: Malformed JSON at byte 0 of input: 4711', PATH).message).not.toContain('4711')
  })
})
