// The command line as a child process, as a user calls it: folder, arguments, environment in; exit code, both
// outputs and the JSON out.

import { type ChildProcess, spawn } from 'node:child_process'
import { inject } from 'vitest'
import type { PipelineResult } from '../../src/core/event.ts'

export interface CliResult {
  /** null where a signal ended it. */
  readonly exit: number | null
  readonly signal: NodeJS.Signals | null
  readonly out: string
  readonly err: string
  /** Both outputs. */
  readonly text: string
  /** What stood on stdout, where that was one JSON object. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever was printed.
  readonly json: any
}

export interface RunningCli {
  readonly child: ChildProcess
  readonly pid: number
  readonly done: Promise<CliResult>
}

export type Environment = Readonly<Record<string, string>>

/** Starts it and returns at once. */
export function startCli(folder: string, args: readonly string[], env: Environment = {}): RunningCli {
  const child = spawn(process.execPath, [inject('cli'), ...args], {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text
  })
  const done = new Promise<CliResult>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (exit, signal) => resolve({ exit, signal, out, err, text: `${out}\n${err}`, json: parsed(out) }))
  })
  return { child, pid: child.pid ?? 0, done }
}

/** Runs it to its end. */
export function runCli(folder: string, args: readonly string[], env: Environment = {}): Promise<CliResult> {
  return startCli(folder, args, env).done
}

/** What `run -o json` said of the one pipeline, or of the named one. Throws with both outputs where it said nothing. */
export function resultOf(result: CliResult, pipeline?: string): PipelineResult & { readonly held_by: readonly Record<string, unknown>[] } {
  const all = (result.json?.pipelines ?? []) as PipelineResult[]
  const found = pipeline === undefined ? all[0] : all.find((one) => one.pipeline === pipeline)
  if (found === undefined)
    throw new Error(`No result${pipeline === undefined ? '' : ` of ${pipeline}`}; exit ${result.exit ?? result.signal}:\n${result.text}`)
  return found as ReturnType<typeof resultOf>
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
