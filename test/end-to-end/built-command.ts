// A folder in which the built command is called as a user calls it: by its name on the PATH, and `import … from 'tidemark'` works.

import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'

export const ROOT = join(import.meta.dirname, '../..')

export interface Outcome {
  readonly exit: number | null
  readonly signal: NodeJS.Signals | null
  readonly out: string
  readonly err: string
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever was printed.
  readonly json: any
}

export interface UserFolder extends Disposable {
  readonly path: string
  write(file: string, text: string): void
  read(file: string): string
  has(file: string): boolean
  /** `tidemark` with these arguments. */
  tidemark(args: readonly string[], env?: Environment): Promise<Outcome>
  start(args: readonly string[], env?: Environment): { readonly child: ChildProcess; readonly done: Promise<Outcome> }
  /** Lines of a shell; the first that fails ends them. */
  shell(script: string, env?: Environment): Promise<Outcome>
}

export type Environment = Readonly<Record<string, string | undefined>>

export function userFolder(base: Environment = {}): UserFolder {
  const path = mkdtempSync(join(tmpdir(), 'tidemark-user-'))
  const bin = join(path, 'node_modules', '.bin')
  mkdirSync(bin, { recursive: true })
  symlinkSync(ROOT, join(path, 'node_modules', 'tidemark'))
  for (const name of ['pg', '@types']) symlinkSync(join(ROOT, 'node_modules', name), join(path, 'node_modules', name))
  writeFileSync(join(path, 'package.json'), '{ "type": "module" }\n')
  addCommand(bin, 'tidemark', commandFile())
  addCommand(bin, 'psql', join(import.meta.dirname, 'psql.ts'))
  addCommand(bin, 'node')
  const env = (more: Environment = {}): NodeJS.ProcessEnv => ({
    ...process.env,
    PATH: `${bin}${delimiter}${process.env.PATH}`,
    ...base,
    ...more,
  })
  const start: UserFolder['start'] = (args, more) => launch(process.execPath, [commandFile(), ...args], path, env(more))
  return {
    path,
    start,
    write: (file, text) => writeFileSync(join(path, file), text),
    read: (file) => readFileSync(join(path, file), 'utf8'),
    has: (file) => existsSync(join(path, file)),
    tidemark: (args, more) => start(args, more).done,
    shell: (script, more) => launch('/bin/sh', ['-e', '-c', script], path, env(more)).done,
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true, maxRetries: 5 }),
  }
}

function commandFile(): string {
  const { bin } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { bin: { tidemark: string } }
  const file = join(ROOT, bin.tidemark)
  if (!existsSync(file)) throw new Error(`${file} is not built: npm run build`)
  return file
}

function addCommand(bin: string, name: string, ...program: readonly string[]): void {
  writeFileSync(join(bin, name), `#!/bin/sh\nexec '${[process.execPath, ...program].join("' '")}' "$@"\n`)
  chmodSync(join(bin, name), 0o755)
}

function launch(
  program: string,
  args: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv,
): { child: ChildProcess; done: Promise<Outcome> } {
  const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const text = { out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text.out += part
  })
  child.stderr.setEncoding('utf8').on('data', (part: string) => {
    text.err += part
  })
  const done = new Promise<Outcome>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (exit, signal) => resolve({ exit, signal, ...text, json: parsed(text.out) }))
  })
  return { child, done }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
