// A second opinion on streams: it keeps a copy of the whole table for every commit, and compares copies. Nothing of it is the emulator's.

export interface Image {
  readonly lane: number
  readonly id: number
  readonly v: string
}

/** Rows by a number that an update keeps. */
type Rows = ReadonlyMap<number, Image>

export interface StreamLine {
  readonly row: number
  /** `lane|id|v|action|isUpdate`. */
  readonly text: string
}

export class RowHistory {
  readonly #commits: Rows[] = [new Map()]
  readonly #inserted: (readonly [number, Image])[][] = [[]]
  #rows = new Map<number, Image>()
  #new: (readonly [number, Image])[] = []
  #lastRow = 0

  /** The number of the last commit. */
  get version(): number {
    return this.#commits.length - 1
  }

  get rows(): readonly Image[] {
    return [...this.#rows.values()]
  }

  insert(image: Image): void {
    this.#rows.set(++this.#lastRow, image)
    this.#new.push([this.#lastRow, image])
  }

  /** Null deletes the row; the same object leaves it. */
  change(how: (image: Image) => Image | null): void {
    for (const [row, image] of [...this.#rows]) {
      const next = how(image)
      if (next === null) this.#rows.delete(row)
      else this.#rows.set(row, next)
    }
  }

  commit(): void {
    this.#commits.push(new Map(this.#rows))
    this.#inserted.push(this.#new)
    this.#new = []
  }

  rollback(): void {
    this.#rows = new Map(this.#commits.at(-1))
    this.#new = []
  }

  /** What leads from one commit to another. */
  delta(after: number, to: number): StreamLine[] {
    const old = this.#commits[after]!
    const now = this.#commits[to]!
    const lines: StreamLine[] = []
    for (const row of new Set([...old.keys(), ...now.keys()])) {
      const [before, later] = [old.get(row), now.get(row)]
      if (before && later && before.id === later.id && before.v === later.v) continue
      const isUpdate = before !== undefined && later !== undefined
      if (before) lines.push(line(row, before, 'DELETE', isUpdate))
      if (later) lines.push(line(row, later, 'INSERT', isUpdate))
    }
    return lines
  }

  appended(after: number, to: number): StreamLine[] {
    return this.#inserted.slice(after + 1, to + 1).flatMap((rows) => rows.map(([row, image]) => line(row, image, 'INSERT', false)))
  }

  present(at: number): StreamLine[] {
    return [...this.#commits[at]!].map(([row, image]) => line(row, image, 'INSERT', false))
  }
}

function line(row: number, { lane, id, v }: Image, action: string, isUpdate: boolean): StreamLine {
  return { row, text: `${lane}|${id}|${v}|${action}|${isUpdate ? 1 : 0}` }
}
