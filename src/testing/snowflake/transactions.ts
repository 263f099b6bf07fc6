// Transactions: what one has written and which streams it has consumed. What was consumed moves at the commit, to where the transaction began.

import type { Stream, Table } from './catalog.ts'
import type { EmulatorClock } from './clock.ts'
import { Locks } from './locks.ts'
import type { Store } from './store.ts'

/** The session that a transaction belongs to. */
export interface TransactionOwner {
  readonly id: number
  readonly user: string
  transaction: Transaction | null
}

export interface Transaction {
  readonly id: number
  readonly session: TransactionOwner
  readonly name: string
  readonly startedAt: number
  /** The last commit when it began: up to there it sees streams. */
  readonly startVersion: number
  readonly autocommit: boolean
  /** Tables that it has changed. */
  readonly touched: Set<Table>
  readonly consumed: Set<Stream>
  /** Files that it has loaded. */
  readonly loaded: { readonly table: Table; readonly file: string }[]
}

export class Transactions {
  readonly locks = new Locks()
  readonly #store: Store
  readonly #clock: EmulatorClock
  readonly #open = new Set<Transaction>()
  #lastId = 0

  constructor(store: Store, clock: EmulatorClock) {
    this.#store = store
    this.#clock = clock
  }

  begin(session: TransactionOwner, autocommit: boolean, name = ''): Transaction {
    const transaction: Transaction = {
      id: ++this.#lastId,
      session,
      name,
      startedAt: this.#clock.now(),
      startVersion: this.#store.version,
      autocommit,
      touched: new Set(),
      consumed: new Set(),
      loaded: [],
    }
    this.#open.add(transaction)
    if (!autocommit) session.transaction = transaction
    return transaction
  }

  open(): Transaction[] {
    return [...this.#open]
  }

  async commit(transaction: Transaction): Promise<void> {
    await this.#store.exclusive(async () => {
      if (transaction.touched.size > 0) {
        await this.#store.atomic(() => this.#store.commit(transaction.id, transaction.touched))
        for (const table of transaction.touched) table.lastChange = this.#store.version
      }
      for (const { table, file } of transaction.loaded) table.loaded.add(file)
      for (const stream of transaction.consumed) advance(stream, transaction)
      this.#end(transaction)
    })
  }

  async rollback(transaction: Transaction): Promise<void> {
    await this.#store.exclusive(async () => {
      if (transaction.touched.size > 0) await this.#store.atomic(() => this.#store.rollback(transaction.id, transaction.touched))
      this.#end(transaction)
    })
  }

  #end(transaction: Transaction): void {
    this.#open.delete(transaction)
    if (transaction.session.transaction === transaction) transaction.session.transaction = null
    this.locks.release(transaction.id)
  }
}

/** A stream that showed initial rows goes on from its creation: what changed since is still to come. */
function advance(stream: Stream, { startVersion, startedAt }: Transaction): void {
  if (!stream.initial) stream.offset = Math.max(stream.offset, startVersion)
  stream.initial = false
  stream.movedAt = startedAt
}
