import { stringify } from 'yaml'
import { openProject } from '../project/open-project.ts'
import { resultJson } from '../reporters/json.ts'
import type { Console } from './console.ts'
import { exitCodeOf } from './exit-code.ts'
import { stopOnSignal } from './signals.ts'

export interface ConvertFlags {
  readonly to: 'cdc' | 'watermark'
  readonly cursor?: string
}

/** Hands a pipeline over to another pattern, and prints what the project file is to say from now on; asks first. */
export async function convert(console: Console, name: string, { to, cursor }: ConvertFlags): Promise<number> {
  const stop = stopOnSignal()
  const project = await openProject(console.options.config ?? null)
  try {
    const { fields } = await project.previewConversion(name, to, cursor ?? null)
    const lines = stringify({ pipelines: fields }, { lineWidth: 0 }).trimEnd().split('\n')
    console.say(
      to === 'cdc'
        ? `${name}: makes a slot and a publication at the source, compares the target with the table in the slot's moment, and goes on by the log.`
        : `${name}: compares the target with the table once, goes on by watermark, and removes slot and publication at the source.`,
    )
    if (!(await console.confirm('Convert the pipeline?'))) {
      console.say('Left as it was.')
      return 0
    }
    const { results } = await project.convert(name, to, { cursor: cursor ?? null, onEvent: console.reporter(), signal: stop.signal })
    const isDone = results.every(({ error }) => error === null)
    if (isDone) console.say('From now on the project file must say, in place of the old pipeline:')
    if (isDone) console.answer(lines)
    console.data({ command: 'convert', ok: isDone, pipeline: name, to, project: { pipelines: fields }, pipelines: results.map(resultJson) })
    for (const { error } of results) if (error !== null) console.error(error)
    return stop.exitCode() ?? exitCodeOf(results)
  } finally {
    await project.close()
    stop.release()
  }
}
