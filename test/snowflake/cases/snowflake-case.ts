// What a case is made of: statements of up to two sessions, and what each must answer.

/** Where a belief comes from. `knowledge` means that nobody has shown it to us in writing: such rows are the first to doubt. */
export type Evidence = 'documentation' | 'published live result' | 'knowledge'

interface Done {
  readonly session: 'a' | 'b'
  readonly sql: string
  /** Rows as texts joined by `|`, in any order; an error by its code or a part of its text; or just that it succeeds. */
  readonly rows?: readonly string[]
  readonly error?: string | RegExp
  /** Waits for another session: it must not have ended before the step that takes its answer. */
  readonly begins?: true
}

/** The answer of the statement that session has begun. */
interface Ends {
  readonly session: 'a' | 'b'
  readonly ends: true
  readonly rows?: readonly string[]
  readonly error?: string | RegExp
}

export type Step = Done | Ends

export interface SnowflakeCase {
  readonly name: string
  readonly evidence: Evidence
  readonly steps: readonly Step[]
}

export const a = (sql: string, rows?: readonly string[]): Step => ({ session: 'a', sql, ...(rows && { rows }) })
export const b = (sql: string, rows?: readonly string[]): Step => ({ session: 'b', sql, ...(rows && { rows }) })
export const fails = (session: 'a' | 'b', sql: string, error: string | RegExp): Step => ({ session, sql, error })
export const begins = (session: 'a' | 'b', sql: string): Step => ({ session, sql, begins: true })
export const ends = (session: 'a' | 'b', rows?: readonly string[]): Step => ({ session, ends: true, ...(rows && { rows }) })

export const S = 'SELECT id, v, METADATA$ACTION, METADATA$ISUPDATE FROM s'
export const TABLE = [a('CREATE TABLE t (id INT, v VARCHAR)'), a("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')")]
export const TRACKED = [...TABLE, a('CREATE STREAM s ON TABLE t')]
export const TARGET = a('CREATE TABLE target (id INT, v VARCHAR)')
export const CONSUME = 'INSERT INTO target SELECT id, v FROM s'
