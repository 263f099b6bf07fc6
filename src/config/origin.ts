// Where the parts of a project were written. Places are for people: `tidemark.yml:9:5`.

/** From the project's top down to one field. */
export type Path = readonly (string | number)[]

/** What the reader of a project file remembers beside the values. */
export interface Origin {
  /** The file's name as shown to people. */
  readonly file: string
  /** Of a path that was not written: the place of what would hold it. */
  place(path: Path, of: 'key' | 'value'): string
  /** How a problem there begins: the place, and the path itself. */
  label(path: Path, of: 'key' | 'value'): string
  /** For sorting by place. */
  order(path: Path, of: 'key' | 'value'): number
  /** A scalar as the user wrote it: digits unchanged, references unresolved. Null where there is no scalar. */
  written(path: Path): string | null
  /** The scalar held a reference, so that its value may be a secret. */
  referenced(path: Path): boolean
}

/** One string per path, for maps and sets. */
export function pathKey(path: Path): string {
  return path.join('\u0000')
}

/** The path as text, odd names quoted: `pipelines.orders.key[0]`. */
export function printPath(path: Path): string {
  let text = ''
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`
    else text += `${text === '' ? '' : '.'}${/^[\w/-]+$/.test(part) ? part : quoted(part)}`
  }
  return text
}

/** A text of the user's for a one-line message: shortened, control characters escaped, nothing that follows `://`. */
export function quoted(text: string): string {
  const scheme = text.indexOf('://')
  const short = scheme >= 0 ? `${text.slice(0, scheme)}://…` : text.length > 60 ? `${text.slice(0, 59)}…` : text
  return JSON.stringify(short).replaceAll(/[\u007f-\u009f\u2028\u2029]/g, '?')
}
