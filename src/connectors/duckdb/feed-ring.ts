// Memory that the main thread and DuckDB's worker thread share: a ring of slots through which the chunks of one feed pass, and a
// bell that wakes the worker. At most SLOTS chunks are on their way, whatever the table's size. Chunks are copied into slots that
// stay, rather than handed over: what is on its way has a fixed size, and the source keeps its buffer.

import type { MessagePort } from 'node:worker_threads'

/** Slots of one feed: 4 MiB on their way, more only where single chunks are larger. */
export const SLOTS = 8
const SLOT_BYTES = 1 << 19

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
  #filled = 0
  /** Bytes in the slot that is being filled. */
  #used = 0

  constructor(shared: Int32Array, port: MessagePort) {
    this.#shared = shared
    this.#port = port
  }

  /** Copies the bytes into a slot, when there is one. Returns false once the reading end has failed. */
  async write(bytes: Uint8Array): Promise<boolean> {
    const { control } = this
    if (this.#used > 0 && this.#used + bytes.length > SLOT_BYTES) this.#publish()
    while (this.#used === 0) {
      if (Atomics.load(control, CONTROL.failed) !== 0) return false
      const freed = Atomics.load(control, CONTROL.freed)
      if (this.#filled - freed < SLOTS) break
      const wait = Atomics.waitAsync(control, CONTROL.freed, freed)
      if (wait.async) await wait.value
    }
    this.#room(this.#filled % SLOTS, bytes.length).set(bytes, this.#used)
    this.#used += bytes.length
    // Small chunks are gathered: DuckDB takes rows by the 2048. But a reader that has nothing gets what there is.
    if (this.#used >= SLOT_BYTES / 2 || Atomics.load(control, CONTROL.freed) === this.#filled) this.#publish()
    return true
  }

  #publish(): void {
    this.control[CONTROL.lengths + (this.#filled % SLOTS)] = this.#used
    this.#used = 0
    this.#filled++
    Atomics.store(this.control, CONTROL.filled, this.#filled)
    ring(this.#shared)
  }

  get active(): boolean {
    return Atomics.load(this.control, CONTROL.active) !== 0
  }

  /** No more chunks will come. */
  end(): void {
    if (this.#used > 0) this.#publish()
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
      let size = SLOT_BYTES
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
