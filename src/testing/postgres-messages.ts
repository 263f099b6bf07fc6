// Follows one unencrypted Postgres connection by its message headers and finds COMMIT, on its way in and as an answer.
// Messages may be split anywhere; only the first bytes of a body are kept.

/** Beyond this nothing of a body is looked at. */
const KEPT_BYTES = 64
const SSL_REQUEST = 80_877_103
const GSS_REQUEST = 80_877_104

interface Progress {
  /** Header and first bytes of the message that is arriving. */
  head: Buffer
  /** Bytes of it that are still to come; null until its header is whole. */
  left: number | null
}

export class PostgresMessages {
  readonly #progress = { 'to-server': fresh(), 'to-client': fresh() }
  #started = false
  #shortAnswers = 0

  /**
   * `found`: the piece completes a COMMIT (to the server) or CommandComplete COMMIT (to the client). `before`: the piece up to
   * where that message begins; empty where it began in an earlier piece.
   */
  follow(piece: Buffer, direction: 'to-server' | 'to-client'): { before: Buffer; found: boolean } {
    const progress = this.#progress[direction]
    let begin = 0
    let at = 0
    while (at < piece.length) {
      if (progress.left === null && progress.head.length === 0) begin = at
      at = this.#take(progress, piece, at, direction)
      if (progress.left !== 0) continue
      const found = this.#isCommit(progress.head, direction)
      this.#progress[direction] = progress
      progress.head = Buffer.alloc(0)
      progress.left = null
      if (found) return { before: piece.subarray(0, begin), found }
    }
    return { before: piece, found: false }
  }

  /** Moves past as much of the message as the piece holds. */
  #take(progress: Progress, piece: Buffer, at: number, direction: 'to-server' | 'to-client'): number {
    if (direction === 'to-client' && this.#shortAnswers > 0 && progress.head.length === 0) {
      // The answer to a request for encryption is one letter, no message.
      this.#shortAnswers--
      progress.left = 0
      return at + 1
    }
    const tagBytes = direction === 'to-client' || this.#started ? 1 : 0
    const headerBytes = tagBytes + 4
    if (progress.left === null) {
      const wanted = headerBytes - progress.head.length
      progress.head = Buffer.concat([progress.head, piece.subarray(at, at + wanted)])
      if (progress.head.length < headerBytes) return piece.length
      progress.left = progress.head.readUInt32BE(tagBytes) - 4
      return at + wanted
    }
    const end = Math.min(piece.length, at + progress.left)
    if (progress.head.length < KEPT_BYTES)
      progress.head = Buffer.concat([progress.head, piece.subarray(at, Math.min(end, at + KEPT_BYTES))])
    progress.left -= end - at
    return end
  }

  #isCommit(head: Buffer, direction: 'to-server' | 'to-client'): boolean {
    if (head.length === 0) return false
    if (direction === 'to-server' && !this.#started) {
      const code = head.length >= 8 ? head.readUInt32BE(4) : 0
      if (code === SSL_REQUEST || code === GSS_REQUEST) this.#shortAnswers++
      else this.#started = true
      return false
    }
    const kind = String.fromCharCode(head[0] ?? 0)
    const text = head.subarray(5).toString('latin1')
    if (direction === 'to-client') return kind === 'C' && text === 'COMMIT\0'
    if (kind === 'P') return /^[^\0]*\0\s*COMMIT\b/i.test(text)
    return kind === 'Q' && /^\s*COMMIT\b/i.test(text)
  }
}

function fresh(): Progress {
  return { head: Buffer.alloc(0), left: null }
}
