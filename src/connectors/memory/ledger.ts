// The ledger of partitions in a memory target: pure functions from contents to contents. A running partition is abandoned when its
// lease is over.

import type { LedgerFilter, Preparation } from '../../contract/target.ts'
import { type Claim, inOrder, LEASE_SECONDS, type LedgerRow } from '../../core/ledger.ts'
import { boundTexts } from '../../core/partition.ts'
import { failureText, lostClaim } from '../../sql/ledger-table.ts'
import type { Contents, LedgerEntry } from './state-store.ts'

type Failure = { readonly code: string; readonly message: string } | null
type Ledger = ReadonlyMap<string, LedgerEntry>

const NO_LEDGER: Ledger = new Map()
const LEASE_MICROS = BigInt(LEASE_SECONDS) * 1_000_000n

export function ledgerOf(contents: Contents, pipeline: string): Ledger {
  return contents.ledgers.get(pipeline) ?? NO_LEDGER
}

function withLedger(contents: Contents, pipeline: string, ledger: Ledger): Contents {
  return { ...contents, ledgers: new Map(contents.ledgers).set(pipeline, ledger) }
}

function withEntry(contents: Contents, pipeline: string, entry: LedgerEntry): Contents {
  return withLedger(contents, pipeline, new Map(ledgerOf(contents, pipeline)).set(entry.key, entry))
}

function isAbandoned({ status, leaseUntil }: LedgerEntry, now: bigint): boolean {
  return status === 'running' && (leaseUntil === null || leaseUntil <= now)
}

export function readLedger(contents: Contents, pipeline: string, { status, keys }: LedgerFilter, now: bigint): readonly LedgerRow[] {
  const entries = [...ledgerOf(contents, pipeline).values()].filter(
    (one) => (status === undefined || one.status === status) && (keys === undefined || keys.includes(one.key)),
  )
  return inOrder(entries.map(({ leaseUntil, ...row }) => ({ ...row, abandoned: isAbandoned({ ...row, leaseUntil }, now) })))
}

/** What is wanted is planned, unless another run moved it since it was seen. */
export function entered(contents: Contents, { first: { pipeline }, runId, wanted, forget }: Preparation): Contents {
  const before = ledgerOf(contents, pipeline)
  const ledger = new Map(forget ? [] : before)
  // A claim from before the ledger forgot must not pass for one from after.
  const attempt = forget ? 1 + Math.max(0, ...[...before.values()].map((row) => row.attempt)) : 0
  for (const { partition, seen } of wanted) {
    const { key, bounds } = partition
    const now = ledger.get(key)
    if (seen === null) {
      if (now !== undefined) continue
      const [lower, upper] = boundTexts(bounds)
      const never = { rows: null, checksum: null, closed: false, committedAt: null, error: null, leaseUntil: null }
      ledger.set(key, { key, lower, upper, status: 'planned', attempt, runId, ...never })
    } else if (now !== undefined && (seen.status === 'committed' || seen.status === 'failed'))
      if (now.attempt === seen.attempt && now.status === seen.status) ledger.set(key, { ...now, status: 'planned', error: null })
  }
  return withLedger(contents, pipeline, ledger)
}

/** The first of these that is free is the run's own from now on; null where none is. */
export function claimed(
  contents: Contents,
  pipeline: string,
  runId: string,
  keys: readonly string[],
  now: bigint,
): { readonly contents: Contents; readonly claim: Claim } | null {
  const ledger = ledgerOf(contents, pipeline)
  for (const key of keys) {
    const entry = ledger.get(key)
    const isOwn = entry?.status === 'running' && entry.runId === runId
    if (entry === undefined || !(entry.status === 'planned' || isOwn || isAbandoned(entry, now))) continue
    const attempt = entry.attempt + 1
    const taken: LedgerEntry = { ...entry, status: 'running', attempt, runId, leaseUntil: now + LEASE_MICROS, error: null }
    return { contents: withEntry(contents, pipeline, taken), claim: { pipeline, runId, key, attempt } }
  }
  return null
}

/** Throws `state-conflict` where another claim was made meanwhile. */
export function settled(
  contents: Contents,
  claim: Claim,
  last: { readonly rows?: number; readonly checksum?: string | null; readonly closed: boolean },
  now: bigint,
): Contents {
  const entry = ownEntry(contents, claim)
  if (entry === null) throw lostClaim(claim)
  const { rows, checksum, closed } = last
  return withEntry(contents, claim.pipeline, {
    ...entry,
    status: 'committed',
    rows: rows === undefined ? entry.rows : BigInt(rows),
    checksum: checksum === undefined ? entry.checksum : checksum,
    closed,
    committedAt: String(now),
    error: null,
    leaseUntil: null,
  })
}

/**
 * Partitions from which rows were taken, as they are in another one now, are to be loaded again: which of the two was read later is not
 * known. Those that are being loaded will find out by themselves.
 */
export function robbed(contents: Contents, claim: Claim, isRobbed: (row: LedgerEntry) => boolean): Contents {
  const ledger = new Map(ledgerOf(contents, claim.pipeline))
  for (const row of ledger.values())
    if (row.key !== claim.key && row.status === 'committed' && isRobbed(row))
      ledger.set(row.key, { ...row, status: 'planned', checksum: null })
  return withLedger(contents, claim.pipeline, ledger)
}

/** A claim that is lost stays so. */
export function givenUp(contents: Contents, claim: Claim, failure: Failure): Contents {
  const entry = ownEntry(contents, claim)
  if (entry === null) return contents
  const status = failure === null ? 'planned' : 'failed'
  const error = failure === null ? null : failureText(failure)
  return withEntry(contents, claim.pipeline, { ...entry, status, error, leaseUntil: null })
}

export function renewed(contents: Contents, pipeline: string, runId: string, now: bigint): Contents {
  const ledger = new Map(ledgerOf(contents, pipeline))
  for (const entry of ledger.values())
    if (entry.status === 'running' && entry.runId === runId) ledger.set(entry.key, { ...entry, leaseUntil: now + LEASE_MICROS })
  return withLedger(contents, pipeline, ledger)
}

function ownEntry(contents: Contents, { pipeline, key, attempt, runId }: Claim): LedgerEntry | null {
  const entry = ledgerOf(contents, pipeline).get(key)
  return entry?.status === 'running' && entry.attempt === attempt && entry.runId === runId ? entry : null
}
