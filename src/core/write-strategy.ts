// How staged rows enter a table. `apply` is the meaning on plain rows: the memory target runs it, every other target is
// compared with it.

export type WriteStrategyName = 'append' | 'merge' | 'delete-insert' | 'overwrite-partition' | 'replace'

export interface WriteStrategy {
  readonly name: WriteStrategyName
  /** Writing the same slice twice leaves the same rows. */
  readonly repeatable: boolean
  readonly needsKey: boolean
}

export const WRITE_STRATEGIES: Readonly<Record<WriteStrategyName, WriteStrategy>> = {
  append: { name: 'append', repeatable: false, needsKey: false },
  merge: { name: 'merge', repeatable: true, needsKey: true },
  'delete-insert': { name: 'delete-insert', repeatable: true, needsKey: true },
  'overwrite-partition': { name: 'overwrite-partition', repeatable: true, needsKey: false },
  replace: { name: 'replace', repeatable: true, needsKey: false },
}
