// tidemark as the demonstration calls it: this very program as another process, which can be killed.

import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { LoadError } from '../core/errors.ts'
import type { PipelineResult } from '../core/event.ts'

export interface Loaded {
  readonly pipelines: readonly Pick<PipelineResult, 'pipeline' | 'status' | 'rows' | 'to' | 'partitions'>[]
  readonly seconds: number
}

/** Where a command is called, and the shop that it reads. */
export interface Place {
  readonly folder: string
  readonly url: string
}

/** `run` or another command that loads, with its arguments; throws what it printed if it failed. */
export async function load(place: Place, command: readonly string[]): Promise<Loaded> {
  const { code, out, err } = await tidemark(place, command, {})
  if (code !== 0) throw new LoadError('bug', `\`tidemark ${command.join(' ')}\` ended with ${code}: ${err.trim()}`)
  return JSON.parse(out) as Loaded
}

/** The same, killed by SIGKILL at a crash point. */
export async function loadAndKill(place: Place, command: readonly string[], crashPoint: string): Promise<void> {
  const { signal, err } = await tidemark(place, command, { TIDEMARK_CRASH_AT: crashPoint })
  if (signal !== 'SIGKILL')
    throw new LoadError('bug', `\`tidemark ${command.join(' ')}\` was to be killed at ${crashPoint} and was not. ${err.trim()}`)
}

interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly out: string
  readonly err: string
}

function tidemark({ folder, url }: Place, command: readonly string[], env: Readonly<Record<string, string>>): Promise<Ended> {
  const program = process.argv[1] ?? ''
  const options = ['-o', 'json', '-q', '-c', join(folder, 'tidemark.yml')]
  const child = spawn(process.execPath, [...process.execArgv, program, ...command, ...options], {
    env: { ...process.env, SHOP_URL: url, TIDEMARK_CRASH_AT: undefined, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  return new Promise((resolve, reject) => {
    const text = { out: '', err: '' }
    child.stdout.setEncoding('utf8').on('data', (part: string) => (text.out += part))
    child.stderr.setEncoding('utf8').on('data', (part: string) => (text.err += part))
    child.once('error', reject)
    child.once('close', (code, signal) => resolve({ code, signal, ...text }))
  })
}
