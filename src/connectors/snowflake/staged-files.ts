// Rows on their way to Snowflake: CSV, compressed into files of a private folder by zlib's own threads, each put into the user's stage
// while the next one fills. None of it wakes a warehouse.

import { createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { constants, createGzip, type Gzip } from 'node:zlib'
import { LoadError } from '../../core/errors.ts'
import { literal } from './names.ts'
import type { Session } from './session.ts'

/** Of a compressed file. The driver has one in memory while it sends it. */
const FILE_BYTES = 32 * 1024 * 1024

interface OpenFile {
  readonly name: string
  readonly gzip: Gzip
  readonly written: Promise<void>
}

export class StagedFiles {
  /** Where they stand, with a slash at its end. */
  readonly stage: string
  readonly #session: Session
  #folder: string | null = null
  #file: OpenFile | null = null
  #files = 0
  #compressed = 0
  /** The last upload and all before it. */
  #uploads: Promise<void> = Promise.resolve()
  #failure: unknown = null

  /** `path`: a place in the user's stage that nobody else has. */
  constructor(session: Session, path: string) {
    this.#session = session
    this.stage = `@~/tidemark/${path}/`
  }

  get isEmpty(): boolean {
    return this.#files === 0
  }

  /** The bytes are used up when it returns. */
  async write(bytes: Uint8Array): Promise<void> {
    if (bytes.length === 0) return
    if (this.#failure !== null) throw this.#failure
    this.#file ??= await this.#open()
    const { gzip } = this.#file
    try {
      await new Promise<void>((resolve, reject) => {
        gzip.write(bytes, (error) => (error === null || error === undefined ? resolve() : reject(error)))
      })
    } catch (thrown) {
      throw diskError(thrown)
    }
    if (this.#compressed >= FILE_BYTES) await this.#finishFile()
  }

  /** All of them are in the stage. */
  async finish(): Promise<void> {
    await this.#finishFile()
    await this.#uploads
    if (this.#failure !== null) throw this.#failure
  }

  /** Here and there; never throws. What stays in the stage after a crash costs its storage, and is never read again. */
  async discard(): Promise<void> {
    this.#file?.gzip.destroy()
    await this.#file?.written.catch(() => undefined)
    this.#file = null
    await this.#uploads
    if (this.#files > 0 && !this.#session.broken) await this.#session.run(`REMOVE ${literal(this.stage)}`).catch(() => undefined)
    if (this.#folder !== null) await rm(this.#folder, { recursive: true, force: true }).catch(() => undefined)
    this.#folder = null
  }

  async #open(): Promise<OpenFile> {
    try {
      this.#folder ??= await mkdtemp(join(tmpdir(), 'tidemark-snowflake-'))
    } catch (thrown) {
      throw diskError(thrown)
    }
    const name = join(this.#folder, `part-${this.#files++}.csv.gz`)
    const gzip = createGzip({ level: constants.Z_BEST_SPEED, chunkSize: 256 * 1024 })
    this.#compressed = 0
    gzip.on('data', (bytes: Buffer) => {
      this.#compressed += bytes.length
    })
    const written = pipeline(gzip, createWriteStream(name, { mode: 0o600 }))
    // A failure is met where the file is finished.
    written.catch(() => undefined)
    return { name, gzip, written }
  }

  async #finishFile(): Promise<void> {
    const file = this.#file
    if (file === null) return
    this.#file = null
    file.gzip.end()
    try {
      await file.written
    } catch (thrown) {
      throw diskError(thrown)
    }
    this.#uploads = this.#uploads
      .then(() => this.#upload(file.name))
      .catch((thrown) => {
        this.#failure ??= thrown
      })
  }

  async #upload(name: string): Promise<void> {
    if (this.#failure !== null) return
    const rows = await this.#session.rows(
      `PUT ${literal(`file://${name}`)} ${literal(this.stage)} SOURCE_COMPRESSION=GZIP AUTO_COMPRESS=FALSE OVERWRITE=TRUE PARALLEL=4`,
    )
    const status = rows[0]?.['status'] ?? 'nothing'
    if (status.toUpperCase() !== 'UPLOADED')
      throw new LoadError('target-failed', `${this.#session.what} answered the upload of a file with ${status}.`)
    await rm(name, { force: true })
  }
}

function diskError(thrown: unknown): unknown {
  const code = (thrown as NodeJS.ErrnoException).code
  if (code === undefined || !['ENOSPC', 'EDQUOT', 'EACCES', 'EROFS', 'EPERM', 'ENOENT', 'EMFILE'].includes(code)) return thrown
  return new LoadError('disk-failed', `The temporary folder can't be written (${code}).`, { cause: new Error(code) })
}
