import { openProject } from '../project/open-project.ts'
import { resultJson } from '../reporters/json.ts'
import type { Console } from './console.ts'
import { exitCodeOf } from './exit-code.ts'
import { stopOnSignal } from './signals.ts'

export interface RunFlags {
  readonly from?: string
  readonly to?: string
  readonly fullRefresh?: boolean
  readonly sweep?: boolean
  readonly maxSlices?: number
}

/** Brings pipelines up to date. */
export async function run(console: Console, names: readonly string[], flags: RunFlags): Promise<number> {
  const stop = stopOnSignal()
  const project = await openProject(console.options.config ?? null)
  try {
    const result = await project.run(names, {
      onEvent: console.reporter(),
      signal: stop.signal,
      from: flags.from ?? null,
      to: flags.to ?? null,
      fullRefresh: flags.fullRefresh ?? false,
      sweep: flags.sweep ?? false,
      maxSlices: flags.maxSlices ?? null,
    })
    console.data({ ...result, pipelines: result.pipelines.map(resultJson) })
    for (const { error } of result.pipelines) if (error !== null) console.error(error)
    return stop.exitCode() ?? exitCodeOf(result.pipelines)
  } finally {
    await project.close()
    stop.release()
  }
}
