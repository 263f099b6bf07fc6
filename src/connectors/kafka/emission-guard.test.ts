import { expect, test } from 'vitest'
import { EmissionGuard, type Seen } from './emission-guard.ts'

const at = (commit: number | null, lsn: number | null, snapshot: 'none' | 'initial' | 'incremental' = 'none') => ({
  lsn: lsn === null ? null : BigInt(lsn),
  lastCommit: commit === null ? null : BigInt(commit),
  txId: null,
  micros: null,
  snapshot,
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
  return events.filter((event) => guard.admits(event)).length
}

test('what comes once is applied once', () => {
  const guard = new EmissionGuard(null)
  expect(LOG.map((event) => guard.admits(event))).toEqual(LOG.map(() => true))
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

test('a run that comes later goes on with what was stored', () => {
  const first = new EmissionGuard(null)
  admitted(first, LOG.slice(0, 6))
  const second = new EmissionGuard(first.seen as Seen)
  expect(admitted(second, LOG.slice(2))).toBe(2)
})

test('what says nothing of its place, and rows read beside the stream, are applied', () => {
  const guard = new EmissionGuard({ commit: 9n, place: 99n, count: 1 })
  expect([null, at(null, null), at(1, 1, 'incremental')].map((event) => guard.admits(event))).toEqual([true, true, true])
})
