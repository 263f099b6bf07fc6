import { isAbsolute, resolve } from 'node:path'
import type { Path } from './origin.ts'

/** Says what is wrong with an option, by its path inside the connection. */
export type OptionReport = (path: Path, message: string, of?: 'key' | 'value') => void

export interface OptionContext {
  readonly directory: string
  /** The option as it was written, references unresolved. */
  readonly written: (path: Path) => string | null
  /** Records a secret that was typed into the project file itself. */
  readonly literal: (path: Path) => void
}

/** Checks what no single option shows. Runs also when single options are wrong, and returns the options for the connector. */
export type OptionsReview = (
  raw: Readonly<Record<string, unknown>>,
  report: OptionReport,
  context: OptionContext,
) => Record<string, unknown>

/** Relative paths start at the project file, wherever tidemark runs. */
export function filePath(directory: string, path: string): string {
  return isAbsolute(path) ? path : resolve(directory, path)
}

/** The text of a certificate or key stays as it is. */
export function pemOrPath(directory: string, value: string): string {
  return value.includes('-----BEGIN') ? value : filePath(directory, value)
}
