// A message that can't be read, as the quarantine keeps it: all of it, its place, and what its partition had seen before it. By that a
// message is known, when it can be read, that was written again and whose like is in the target already.

import type { Seen } from './emission-guard.ts'
import type { KafkaRecord } from './record-batches.ts'
import { parseSeen, printSeen } from './topic-position.ts'

/** Text where it is some. */
type KeptBytes = string | { readonly hex: string } | null

interface Written {
  readonly topic: string
  readonly partition: number
  readonly offset: string
  readonly timestamp: number
  readonly headers: Readonly<Record<string, KeptBytes>>
  readonly key: KeptBytes
  readonly value: KeptBytes
  readonly seen: readonly string[]
}

export function printMessage(topic: string, partition: number, record: KafkaRecord, seen: Seen | null): string {
  const written: Written = {
    topic,
    partition,
    offset: String(record.offset),
    timestamp: record.timestamp,
    headers: Object.fromEntries(record.headers.map(([name, value]) => [name, keep(value)])),
    key: keep(record.key),
    value: keep(record.value),
    seen: printSeen(seen),
  }
  // Only ASCII: a database of any encoding can hold it.
  return JSON.stringify(written).replaceAll(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

export function parseMessage(payload: string): { readonly record: KafkaRecord; readonly seen: Seen | null } {
  const { offset, timestamp, headers, key, value, seen } = JSON.parse(payload) as Written
  const pairs = Object.entries(headers).map(([name, kept]) => [name, bytesOf(kept)] as const)
  return { record: { offset: BigInt(offset), timestamp, headers: pairs, key: bytesOf(key), value: bytesOf(value) }, seen: parseSeen(seen) }
}

function keep(bytes: Buffer | null): KeptBytes {
  if (bytes === null) return null
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return { hex: bytes.toString('hex') }
  }
}

function bytesOf(kept: KeptBytes): Buffer | null {
  if (kept === null) return null
  return typeof kept === 'string' ? Buffer.from(kept) : Buffer.from(kept.hex, 'hex')
}
