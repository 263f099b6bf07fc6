// Runs one command in a process group of its own and measures it as a whole, from its start to its end: wall-clock seconds here, CPU
// seconds and the largest process by GNU time where there is one, the memory of all its processes together by looking into /proc.

import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { ENVIRONMENT } from './psql.ts'

export interface Measurement {
  readonly seconds: number
  /** Of the command and its children, not of the servers. */
  readonly cpuSeconds: number | null
  readonly largestMegabytes: number | null
  /** Pages that processes share are counted in each. */
  readonly togetherMegabytes: number | null
  /** Why it is no result. */
  readonly failure: string | null
}

const TIME = '/usr/bin/time'
const SAMPLE_MS = 50
const PAGE = 4096
let running = 0
process.on('exit', () => {
  if (running !== 0) process.kill(-running, 'SIGKILL')
})

export async function measure(
  command: readonly string[],
  variables: Readonly<Record<string, string>>,
  folder: string,
): Promise<Measurement> {
  const report = join(folder, 'time')
  const timed = existsSync(TIME) && process.platform === 'linux'
  const [program = '', ...rest] = [...(timed ? [TIME, '-q', '-o', report, '-f', '%U %S %M'] : []), ...command]
  let failure = ''
  let together = 0
  const start = performance.now()
  const child = spawn(program, rest, { env: { ...ENVIRONMENT, ...variables }, detached: true, stdio: ['ignore', 'ignore', 'pipe'] })
  running = child.pid ?? 0
  const sampling = setInterval(() => {
    together = Math.max(together, residentBytes(child.pid ?? 0))
  }, SAMPLE_MS)
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    failure = (failure + text).slice(-2000)
  })
  let end = 0
  child.once('exit', () => {
    end = performance.now()
  })
  const code = await new Promise<number | string>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (exit, signal) => resolve(exit ?? signal ?? 'no exit code'))
  }).finally(() => clearInterval(sampling))
  running = 0
  const usage = timed && existsSync(report) ? readFileSync(report, 'utf8').trim().split(' ').map(Number) : []
  rmSync(report, { force: true })
  const [user, system, kilobytes] = usage
  return {
    seconds: (end - start) / 1000,
    cpuSeconds: user === undefined || system === undefined ? null : user + system,
    largestMegabytes: kilobytes === undefined ? null : kilobytes / 1024,
    togetherMegabytes: together === 0 ? null : together / 1024 ** 2,
    failure: code === 0 ? null : `exit ${code}: ${failure.trim()}`,
  }
}

/** Of the process and all below it; processes that end meanwhile count nothing. */
function residentBytes(pid: number): number {
  try {
    const own = Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]) * PAGE
    const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean),
    )
    return children.reduce((sum, child) => sum + residentBytes(Number(child)), own)
  } catch {
    return 0
  }
}
