import type { RunRequest } from '../core/head.ts'
import { openProject } from '../project/open-project.ts'
import { resultJson } from '../reporters/json.ts'
import type { Console } from './console.ts'
import { exitCodeOf } from './exit-code.ts'
import { type RunFlags, requestOf } from './request.ts'
import { stopOnSignal } from './signals.ts'

/** Brings pipelines up to date. */
export async function run(console: Console, names: readonly string[], flags: RunFlags): Promise<number> {
  return runRequest(console, names, requestOf(flags, console))
}

export async function runRequest(console: Console, names: readonly string[], request: RunRequest): Promise<number> {
  const stop = stopOnSignal()
  const project = await openProject(console.options.config ?? null)
  try {
    const result = await project.run(names, { onEvent: console.reporter(), signal: stop.signal, ...request })
    console.data({ ...result, pipelines: result.pipelines.map(resultJson) })
    for (const { error } of result.pipelines) if (error !== null) console.error(error)
    return stop.exitCode() ?? exitCodeOf(result.pipelines)
  } finally {
    await project.close()
    stop.release()
  }
}
