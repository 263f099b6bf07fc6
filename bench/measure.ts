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
let running = 0
process.on('exit', killGroup)

export async function measure(
  command: readonly string[],
  variables: Readonly<Record<string, string>>,
  folder: string,
): Promise<Measurement> {
  const report = join(folder, 'time')
  const timed = existsSync(TIME) && process.platform === 'linux'
  const [program = '', ...rest] = [...(timed ? [TIME, '-o', report, '-f', '%U %S %M'] : []), ...command]
  let failure = ''
  let together = 0
  const start = performance.now()
  const child = spawn(program, rest, { env: { ...ENVIRONMENT, ...variables }, detached: true, stdio: ['ignore', 'ignore', 'pipe'] })
  running = child.pid ?? 0
  const sampling = setInterval(() => {
    together = Math.max(together, residentMegabytes(child.pid ?? 0))
  }, SAMPLE_MS)
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    failure = (failure + text).slice(-2000)
  })
  let end = 0
  child.once('exit', () => {
    end = performance.now()
    // One that it left behind would hold our end of the pipe open.
    killGroup()
  })
  const code = await new Promise<number | string>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (exit, signal) => resolve(exit ?? signal ?? 'no exit code'))
  }).finally(() => clearInterval(sampling))
  running = 0
  // Above the figures stands a remark where the command failed.
  const figures = timed && existsSync(report) ? readFileSync(report, 'utf8').trim().split('\n').at(-1) : undefined
  rmSync(report, { force: true })
  const [user, system, kilobytes] = figures?.split(' ').map(Number) ?? []
  const largest = kilobytes === undefined ? null : kilobytes / 1024
  return {
    seconds: (end - start) / 1000,
    cpuSeconds: user === undefined || system === undefined ? null : user + system,
    largestMegabytes: largest,
    togetherMegabytes: together === 0 ? null : Math.max(together, largest ?? 0),
    failure: code === 0 ? null : `exit ${code}: ${failure.trim()}`,
  }
}

function killGroup(): void {
  try {
    if (running !== 0) process.kill(-running, 'SIGKILL')
  } catch {
    // They have ended by themselves.
  }
}

/** Of the process and all below it; processes that end meanwhile count nothing. */
function residentMegabytes(pid: number): number {
  try {
    const own = Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024
    const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean),
    )
    return children.reduce((sum, child) => sum + residentMegabytes(Number(child)), own)
  } catch {
    return 0
  }
}
