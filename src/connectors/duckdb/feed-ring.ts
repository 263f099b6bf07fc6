// Memory that the main thread and DuckDB's worker thread share: a ring of slots through which the chunks of one feed pass, and a
// bell that wakes the worker. At most SLOTS chunks are on their way, whatever the table's size. Chunks are copied into slots that
// stay, rather than handed over: it costs less than fresh memory for each, and the source keeps its buffer.

import type { MessagePort } from 'node:worker_threads'

/** Slots of one feed: with chunks of 512 KiB, 4 MiB on their way. */
export const SLOTS = 8
const SMALLEST_SLOT = 1 << 19

/** Indices into the control words of a feed. */
export const CONTROL = { filled: 0, freed: 1, ended: 2, active: 3, failed: 4, lengths: 8 } as const

/** Indices into the words that all feeds of one worker share. */
export const SHARED = { bell: 0, requests: 1 } as const

/** A slot's memory, sent when it is first used or has grown. */
export interface SlotMessage {
  readonly slot: number
  readonly buffer: SharedArrayBuffer
}

export function sharedWords(count: number): Int32Array {
  return new Int32Array(new SharedArrayBuffer(count * 4))
}

/** Wakes the worker, where it waits for a chunk or a request. */
export function ring(shared: Int32Array): void {
  Atomics.add(shared, SHARED.bell, 1)
  Atomics.notify(shared, SHARED.bell)
}

/** The main thread's end of a feed. */
export class FeedWriter {
  readonly control: Int32Array = sharedWords(CONTROL.lengths + SLOTS)
  readonly #shared: Int32Array
  readonly #port: MessagePort
  readonly #slots: Uint8Array[] = []

  constructor(shared: Int32Array, port: MessagePort) {
    this.#shared = shared
    this.#port = port
  }

  /** Copies the bytes into the next slot, when there is one. Returns false once the reading end has failed. */
  async write(bytes: Uint8Array): Promise<boolean> {
    const { control } = this
    const filled = Atomics.load(control, CONTROL.filled)
    for (;;) {
      if (Atomics.load(control, CONTROL.failed) !== 0) return false
      const freed = Atomics.load(control, CONTROL.freed)
      if (filled - freed < SLOTS) break
      const wait = Atomics.waitAsync(control, CONTROL.freed, freed)
      if (wait.async) await wait.value
    }
    const slot = filled % SLOTS
    this.#room(slot, bytes.length).set(bytes)
    control[CONTROL.lengths + slot] = bytes.length
    Atomics.store(control, CONTROL.filled, filled + 1)
    ring(this.#shared)
    return true
  }

  get active(): boolean {
    return Atomics.load(this.control, CONTROL.active) !== 0
  }

  /** No more chunks will come. */
  end(): void {
    Atomics.store(this.control, CONTROL.ended, 1)
    ring(this.#shared)
  }

  /** What is on its way is not wanted any more. */
  cancel(): void {
    Atomics.store(this.control, CONTROL.failed, 1)
    ring(this.#shared)
  }

  #room(slot: number, length: number): Uint8Array {
    let room = this.#slots[slot]
    if (room === undefined || room.length < length) {
      let size = SMALLEST_SLOT
      while (size < length) size *= 2
      const buffer = new SharedArrayBuffer(size)
      room = new Uint8Array(buffer)
      this.#slots[slot] = room
      // Before `filled` moves: whoever sees the chunk finds the slot's memory in the port already.
      this.#port.postMessage({ slot, buffer } satisfies SlotMessage)
    }
    return room
  }
}
