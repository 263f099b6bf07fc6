// Transactions that the source sends before it has committed them, on disk: a file for each, which has no name any more once it is
// open, so that nothing is left of it however the process ends. Written and read at once, without a promise: while the disk is slow
// nothing more is read from the source.

import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LoadError } from '../../core/errors.ts'

/** Before each message: its length, and the number of its transaction. */
const HEAD_BYTES = 8
const WRITTEN_AT_ONCE = 256 * 1024
const READ_AT_ONCE = 512 * 1024

export class Spool {
  readonly #files = new Map<number, SpoolFile>()
  /** What goes to the file of the transaction whose piece is being read. */
  readonly #pending = Buffer.allocUnsafe(WRITTEN_AT_ONCE)
  #pendingBytes = 0
  #into: SpoolFile | null = null

  /** `kind`, and the bytes after it, are one message of `xid`, which is the transaction `top` itself or a subtransaction. */
  keep(top: number, xid: number, kind: number, bytes: Uint8Array, from: number, to: number): void {
    const file = this.#fileOf(top)
    if (file !== this.#into) this.pause()
    this.#into = file
    const size = to - from
    if (this.#pendingBytes + HEAD_BYTES + 1 + size > WRITTEN_AT_ONCE) this.#write()
    const pending = this.#pending
    pending.writeUInt32BE(size + 1, this.#pendingBytes)
    pending.writeUInt32BE(xid, this.#pendingBytes + 4)
    pending[this.#pendingBytes + HEAD_BYTES] = kind
    this.#pendingBytes += HEAD_BYTES + 1
    if (this.#pendingBytes + size > WRITTEN_AT_ONCE) {
      this.#write()
      file.append(bytes, from, to)
      return
    }
    pending.set(bytes.subarray(from, to), this.#pendingBytes)
    this.#pendingBytes += size
  }

  /** Something else comes next. */
  pause(): void {
    this.#write()
    this.#into = null
  }

  abort(top: number, xid: number): void {
    if (xid !== top) this.#files.get(top)?.aborted.add(xid)
    else this.take(top)?.close()
  }

  /** What was kept of a transaction, which is forgotten here; null where there was nothing. */
  take(top: number): SpoolFile | null {
    const file = this.#files.get(top) ?? null
    this.#files.delete(top)
    return file
  }

  close(): void {
    for (const file of this.#files.values()) file.close()
    this.#files.clear()
  }

  #fileOf(top: number): SpoolFile {
    const known = this.#files.get(top)
    if (known !== undefined) return known
    const file = new SpoolFile()
    this.#files.set(top, file)
    return file
  }

  #write(): void {
    this.#into?.append(this.#pending, 0, this.#pendingBytes)
    this.#pendingBytes = 0
  }
}

/** The messages of one transaction: written, then read once from the beginning. */
export class SpoolFile {
  /** Subtransactions that were rolled back. */
  readonly aborted = new Set<number>()
  readonly #file = onDisk(openNameless)
  #written = 0
  #read = 0
  #bytes: Buffer = Buffer.alloc(0)
  #at = 0
  #end = 0
  /** The message that was read last. */
  xid = 0
  bytes: Uint8Array = this.#bytes
  from = 0
  to = 0

  append(bytes: Uint8Array, from: number, to: number): void {
    onDisk(() => {
      for (let at = from; at < to; ) {
        const size = writeSync(this.#file, bytes, at, to - at, this.#written)
        this.#written += size
        at += size
      }
    })
  }

  /** False at the end; otherwise `xid`, and the message between `from` and `to` of `bytes` until the next call. */
  next(): boolean {
    if (!this.#have(HEAD_BYTES)) return false
    const size = this.#bytes.readUInt32BE(this.#at)
    this.xid = this.#bytes.readUInt32BE(this.#at + 4)
    if (!this.#have(HEAD_BYTES + size)) throw new LoadError('log-corrupted', 'The file of a large transaction ends too early.')
    this.bytes = this.#bytes
    this.from = this.#at + HEAD_BYTES
    this.to = this.from + size
    this.#at = this.to
    return true
  }

  #have(size: number): boolean {
    const left = this.#end - this.#at
    if (left >= size) return true
    if (left + this.#written - this.#read < size) return false
    const larger = Math.max(size, READ_AT_ONCE)
    const next = this.#bytes.length >= larger ? this.#bytes : Buffer.allocUnsafe(larger)
    this.#bytes.copy(next, 0, this.#at, this.#end)
    this.#bytes = next
    this.#at = 0
    this.#end = left
    onDisk(() => {
      while (this.#end < size) {
        const read = readSync(this.#file, next, this.#end, next.length - this.#end, this.#read)
        if (read === 0) throw new Error('the file is shorter than what was written')
        this.#read += read
        this.#end += read
      }
    })
    return true
  }

  close(): void {
    closeSync(this.#file)
  }
}

function openNameless(): number {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-'))
  try {
    return openSync(join(folder, 'transaction'), 'wx+', 0o600)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function onDisk<T>(act: () => T): T {
  try {
    return act()
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'no code'
    throw new LoadError('disk-failed', `A large transaction can't be kept in ${tmpdir()} until it is committed (${code}).`, { cause })
  }
}
