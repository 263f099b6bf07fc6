// How far a connector has read the log of PostgreSQL, as it has stored it in Kafka Connect, beside the slot at the database.

import type { FeedPosition, FeedSlot } from '../../contract/change-feed.ts'
import type { Finding } from '../../contract/finding.ts'

/** Where the connector's own numbers may stand; the furthest of them is how far it has come. */
const PLACES = ['lsn', 'lsn_proc', 'lsn_commit']

/** `body`: what Connect says of a connector's offsets. null where nothing is stored. */
export function storedPosition(body: unknown): FeedPosition | null {
  const entries =
    (body as { readonly offsets?: readonly { readonly offset?: Readonly<Record<string, unknown>> | null }[] } | null)?.offsets ?? []
  for (const { offset } of entries) {
    const numbers = PLACES.map((place) => offset?.[place]).filter(
      (one): one is number | bigint => typeof one === 'number' || typeof one === 'bigint',
    )
    if (numbers.length === 0) continue
    const furthest = numbers.map(BigInt).sort((a, b) => (a < b ? 1 : -1))[0] ?? 0n
    const micros = offset?.['ts_usec']
    return { at: printPlace(furthest), time: typeof micros === 'number' ? new Date(micros / 1000).toISOString() : null }
  }
  return null
}

function printPlace(place: bigint): string {
  return `${(place >> 32n).toString(16).toUpperCase()}/${(place & 0xffff_ffffn).toString(16).toUpperCase()}`
}

/** null for a text that is none. */
function parsePlace(text: string): bigint | null {
  const match = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/.exec(text)
  return match === null ? null : (BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`)
}

/** Whether the log still goes on where the connector stopped. */
export function compareWithSlot(connector: string, name: string, stored: FeedPosition | null, slot: FeedSlot): readonly Finding[] {
  if (stored === null) return []
  const hint = `Remove the connector with \`tidemark connector remove\`, register it again, and load everything again with \`--full-refresh\`.`
  const gap = (message: string): readonly Finding[] => [{ severity: 'error', code: 'connector-gap', message, hint }]
  if (slot.state === 'missing')
    return gap(`Connector ${connector} goes on from ${stored.at}, but its slot ${name} is gone: what the log said since is lost to it.`)
  if (slot.state === 'lost') return gap(`Slot ${name} of connector ${connector} has lost what the connector has not read yet.`)
  const [confirmed, at] = [parsePlace(slot.confirmed ?? ''), parsePlace(stored.at)]
  if (confirmed === null || at === null || confirmed <= at) return []
  return gap(
    `Slot ${name} is at ${slot.confirmed}, but connector ${connector} has stored only ${stored.at}: what lies between may be lost to it.`,
  )
}
