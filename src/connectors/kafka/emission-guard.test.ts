import { expect, test } from 'vitest'
import { EmissionGuard, type Seen } from './emission-guard.ts'

const at = (commit: number | null, lsn: number | null, snapshot: 'none' | 'initial' | 'incremental' = 'none') => ({
  lsn: lsn === null ? null : BigInt(lsn),
  lastCommit: commit === null ? null : BigInt(commit),
  txId: null,
  micros: null,
  snapshot,
  mark: null,
})

/** A snapshot of three rows; then a transaction whose changes lie around those of another, and two changes that share a place. */
const LOG = [
  at(null, 5, 'initial'),
  at(null, 5, 'initial'),
  at(null, 5, 'initial'),
  at(5, 20),
  at(5, 40),
  at(30, 10),
  at(30, 41),
  at(30, 41),
]

function admitted(guard: EmissionGuard, events: readonly ReturnType<typeof at>[]): number {
  return events.filter((event) => guard.admits(event, null)).length
}

/** The same, where the connector numbers the changes of transactions. */
const ORDERS = [null, null, null, 1, 2, 1, 3, 4]

test('what comes once is applied once', () => {
  const guard = new EmissionGuard(null)
  expect(LOG.map((event) => guard.admits(event, null))).toEqual(LOG.map(() => true))
})

test.each(LOG.map((_, from) => [from]))('written again from change %i on, nothing is applied a second time', (from) => {
  for (let until = Math.max(from + 1, 1); until <= LOG.length; until++) {
    const guard = new EmissionGuard(null)
    admitted(guard, LOG.slice(0, until))
    // Where the first of those that come again shares its place with the last, nothing tells that it is one of them.
    const isTold = from === 0 ? LOG[0]?.lsn !== LOG[until - 1]?.lsn : `${LOG[from]?.lsn}` !== `${LOG[until - 1]?.lsn}`
    if (!isTold) continue
    expect(admitted(guard, LOG.slice(from))).toBe(LOG.length - until)
  }
})

test.each(LOG.map((_, from) => [from]))('written again from change %i on, numbers tell all that come again', (from) => {
  for (let until = Math.max(from + 1, 4); until <= LOG.length; until++) {
    const guard = new EmissionGuard(null)
    const take = (events: typeof LOG, first: number) => events.filter((event, at) => guard.admits(event, ORDERS[first + at] ?? null)).length
    expect(take(LOG.slice(0, until), 0)).toBe(until)
    expect(take(LOG.slice(from), from)).toBe(LOG.length - until)
  }
})

test('a transaction that began before the snapshot and ended after it is newer than its rows, wherever its changes lie', () => {
  const guard = new EmissionGuard(null)
  expect(admitted(guard, [at(null, 50, 'initial'), at(null, 40), at(null, 45), at(60, 30)])).toBe(4)
})

test('a snapshot that was begun anew is applied, one that is older than a change is not', () => {
  const guard = new EmissionGuard(null)
  expect(admitted(guard, [at(null, 5, 'initial'), at(null, 9, 'initial'), at(null, 9, 'initial')])).toBe(3)
  expect(admitted(guard, [at(null, 5, 'initial'), at(null, 20)])).toBe(1)
  expect(admitted(guard, [at(null, 9, 'initial'), at(30, 40), at(null, 29, 'initial')])).toBe(1)
  // The connector has lost its slot, and reads everything anew.
  expect(admitted(guard, [at(null, 50, 'initial'), at(null, 50, 'initial'), at(null, 60)])).toBe(3)
})

test('a run that comes later goes on with what was stored', () => {
  const first = new EmissionGuard(null)
  admitted(first, LOG.slice(0, 6))
  const second = new EmissionGuard(first.seen as Seen)
  expect(admitted(second, LOG.slice(2))).toBe(2)
})

test('what says nothing of its place, and rows read beside the stream, are applied', () => {
  const guard = new EmissionGuard({ commit: 9n, place: 99n, count: 1, order: null, snapshot: null, mark: null })
  expect([null, at(null, null), at(1, 1, 'incremental')].map((event) => guard.admits(event, null))).toEqual([true, true, true])
})
