import { LoadError } from '../core/errors.ts'
import { count } from '../core/plan-text.ts'
import { openProject } from '../project/open-project.ts'
import { quarantineJson } from '../reporters/json.ts'
import type { Console } from './console.ts'
import { aligned } from './status.ts'

/** `quarantine list`: what the target refused, and why. Values of rows are shown to whoever asks for them here, and nowhere else. */
export async function listQuarantine(console: Console, name: string): Promise<number> {
  await using project = await openProject(console.options.config ?? null)
  const changes = await project.quarantined(name)
  console.answer(
    aligned([
      ['ID', 'TABLE', 'KEY', 'CHANGE', 'SINCE (UTC)', 'REFUSED'],
      ...changes.map((one) => [one.id, one.table, one.key, one.op, one.quarantinedAt.slice(0, 19), `${one.code}: ${one.message}`]),
    ]),
  )
  console.data(quarantineJson(name, changes))
  return 0
}

/** `quarantine replay`: 0 where all that was asked for fits now. */
export async function replayQuarantine(console: Console, name: string, ids: readonly string[]): Promise<number> {
  await using project = await openProject(console.options.config ?? null)
  const { replayed, left } = await project.replayQuarantine(name, ids.length === 0 ? null : ids)
  console.answer([`${name}  ${count(replayed, 'row')} replayed${left === 0 ? '' : `, ${left} refused again`}`])
  console.data({ command: 'replay', ok: left === 0, ...quarantineJson(name, await project.quarantined(name)), replayed, left })
  return left === 0 ? 0 : 1
}

/** `quarantine discard`: the rows stay as the target has them. */
export async function discardQuarantine(console: Console, name: string, ids: readonly string[]): Promise<number> {
  await using project = await openProject(console.options.config ?? null)
  const known = await project.quarantined(name)
  const unknown = ids.filter((id) => !known.some((one) => one.id === id))
  if (unknown.length > 0)
    throw new LoadError('bad-usage', `Pipeline ${name} has no ${unknown.join(', ')} in quarantine.`, {
      hint: 'See `tidemark quarantine list`.',
    })
  console.say(`${name}: forgets ${count(ids.length, 'change')} for good. The target keeps what it has of these rows, which is older.`)
  if (!(await console.confirm('Discard them?'))) {
    console.say('Left as it was.')
    return 0
  }
  const discarded = await project.discardQuarantine(name, ids)
  console.answer([`${name}  ${count(discarded, 'change')} discarded`])
  console.data({ command: 'discard', pipeline: name, discarded })
  return 0
}
