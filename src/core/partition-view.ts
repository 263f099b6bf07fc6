// What there is to show of many partitions at once: a strip of as many cells as there is room for. A cell is one partition, or
// several; it fills as their rows come in.

import type { RunEvent } from './event.ts'

const DONE = 8
const FAILED = 9
/** From empty to full; a failed one is a cross. */
const CELLS = ['·', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█', '✗'] as const

interface OnItsWay {
  readonly rows: number
  readonly bytes: number
}

export interface PartitionView {
  /** Where each partition stands in the strip. */
  readonly places: ReadonlyMap<string, number>
  readonly estimates: readonly (number | null)[]
  /** Eighths of each partition that are in; FAILED for one that failed. */
  readonly states: Uint8Array
  readonly running: ReadonlyMap<string, OnItsWay>
  readonly committed: number
  readonly failed: number
  /** Which other runs are loading. */
  readonly elsewhere: number
}

/** null for an event that begins no partitions. */
export function beginPartitions(event: RunEvent): PartitionView | null {
  if (event.kind !== 'partitions-planned') return null
  const wanted = event.plan.partitions.filter(({ reason }) => reason !== 'not asked')
  const states = new Uint8Array(wanted.length)
  for (const [place, { action }] of wanted.entries()) if (action === 'skip') states[place] = DONE
  return {
    places: new Map(wanted.map(({ partition }, place) => [partition.key, place])),
    estimates: wanted.map(({ estimatedRows }) => estimatedRows),
    states,
    running: new Map(),
    committed: wanted.filter(({ action }) => action === 'skip').length,
    failed: 0,
    elsewhere: 0,
  }
}

export function foldPartition(view: PartitionView, event: RunEvent): PartitionView {
  switch (event.kind) {
    case 'partition-started':
      return { ...withState(view, event.partition, 1), running: new Map(view.running).set(event.partition, { rows: 0, bytes: 0 }) }
    case 'partition-progress': {
      const expected = view.estimates[view.places.get(event.partition) ?? -1] ?? null
      const share = expected === null || expected === 0 ? 1 : Math.min(7, Math.max(1, Math.floor((event.rows / expected) * 8)))
      return {
        ...withState(view, event.partition, share),
        running: new Map(view.running).set(event.partition, { rows: event.rows, bytes: event.bytes }),
      }
    }
    case 'partition-committed':
      return { ...withState(without(view, event.partition), event.partition, DONE), committed: view.committed + 1 }
    case 'partition-failed': {
      const back = without(view, event.partition)
      return event.again ? withState(back, event.partition, 0) : { ...withState(back, event.partition, FAILED), failed: view.failed + 1 }
    }
    case 'waiting-for-others':
      return { ...view, elsewhere: event.partitions }
    default:
      return view
  }
}

function withState(view: PartitionView, key: string, state: number): PartitionView {
  const place = view.places.get(key)
  if (place === undefined || view.states[place] === state) return view
  const states = view.states.slice()
  states[place] = state
  return { ...view, states }
}

function without(view: PartitionView, key: string): PartitionView {
  const running = new Map(view.running)
  running.delete(key)
  return { ...view, running }
}

/** At most `columns` characters. One failure among a thousand is still seen. */
export function strip({ states }: PartitionView, columns: number): string {
  const cells = Math.min(states.length, Math.max(columns, 1))
  let text = ''
  for (let cell = 0; cell < cells; cell++) {
    const [from, to] = [Math.floor((cell * states.length) / cells), Math.floor(((cell + 1) * states.length) / cells)]
    let sum = 0
    let failed = false
    for (let place = from; place < to; place++) {
      const state = states[place] ?? 0
      if (state === FAILED) failed = true
      else sum += state
    }
    // A cell is full only when all of it is in, and not empty once anything is.
    const filled = sum === (to - from) * DONE ? DONE : Math.min(7, Math.ceil(sum / (to - from)))
    text += failed ? CELLS[FAILED] : CELLS[filled]
  }
  return text
}

export function rowsOnTheirWay({ running }: PartitionView): OnItsWay {
  let rows = 0
  let bytes = 0
  for (const one of running.values()) {
    rows += one.rows
    bytes += one.bytes
  }
  return { rows, bytes }
}
