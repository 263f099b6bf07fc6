import type { CdcPipeline } from '../core/pipeline.ts'
import { count } from '../core/plan-text.ts'
import { openProject } from '../project/open-project.ts'
import type { Console } from './console.ts'

/** Removes what a pipeline made at its source, and its state; asks first. */
export async function drop(console: Console, name: string): Promise<number> {
  await using project = await openProject(console.options.config ?? null)
  const [pipeline] = await project.pipelines([name])
  const atSource = pipeline?.pattern === 'cdc' ? whatIsMade(pipeline) : ''
  console.say(`${name}: removes ${atSource}all that the target remembers of it. The data at the target stay.`)
  const kept = pipeline?.pattern === 'cdc' ? (await project.quarantined(name)).length : 0
  if (kept > 0) console.say(`${name}: ${count(kept, 'row')} in quarantine ${kept === 1 ? 'goes' : 'go'} with it, and not into the tables.`)
  if (!(await console.confirm('Drop the pipeline?'))) {
    console.say('Left as it was.')
    return 0
  }
  const { removed, left } = await project.drop(name)
  console.answer([
    ...(removed.length === 0 ? ['There was nothing to remove.'] : removed.map((what) => `removed ${what}`)),
    ...left.map((what) => `left    ${what}: tidemark did not make it`),
  ])
  console.data({ command: 'drop', pipeline: name, removed, left })
  return 0
}

function whatIsMade({ source }: CdcPipeline): string {
  if (source.kafka !== null) return ''
  if (source.streams !== null) return 'the streams that it made, with their outboxes, and '
  return `slot ${source.slot} and publication ${source.publication} at the source, and `
}
