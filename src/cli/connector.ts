import type { FeedPreview, FeedStatus, PropertyChange } from '../contract/change-feed.ts'
import { count } from '../core/plan-text.ts'
import { openProject } from '../project/open-project.ts'
import type { Console } from './console.ts'
import { aligned } from './status.ts'

/** `connector register`: shows what would change, and asks. */
export async function registerConnector(console: Console, name: string): Promise<number> {
  await using project = await openProject(console.options.config ?? null)
  const connector = await project.connector(name)
  const preview = await connector.preview()
  for (const line of previewLines(name, preview)) console.say(line)
  if (preview.changes.length > 0 && !(await console.confirm(preview.exists ? 'Change the connector?' : 'Register the connector?'))) {
    console.say('Left as it was.')
    return 0
  }
  const status = await connector.register()
  console.answer(statusLines(name, status))
  console.data({ command: 'register', pipeline: name, ...status, changes: preview.changes, unknown: preview.unknown })
  return 0
}

function previewLines(name: string, { connector, exists, changes, unknown }: FeedPreview): readonly string[] {
  const what = exists ? `connector ${connector} would change in ${count(changes.length, 'setting')}` : `connector ${connector} is new`
  return [
    `${name}: ${exists && changes.length === 0 ? `connector ${connector} is as it should be` : `${what}:`}`,
    ...changes.map(changeLine),
    ...unknown.map(
      (property) => `${name}: Kafka Connect does not know the property ${property}, and takes it without a word; look at its spelling.`,
    ),
  ]
}

function changeLine({ property, was, becomes }: PropertyChange): string {
  if (was === null) return `  + ${property} = ${becomes}`
  return becomes === null ? `  - ${property} = ${was}` : `  ~ ${property} = ${was} → ${becomes}`
}

/** `connector status`: 1 where something of it has failed. */
export async function connectorStatus(console: Console, name: string): Promise<number> {
  await using project = await openProject(console.options.config ?? null)
  const status = await (await project.connector(name)).status()
  console.answer(statusLines(name, status))
  console.data({ command: 'status', pipeline: name, ...status })
  return [status, ...status.tasks].some((part) => part.state === 'FAILED') ? 1 : 0
}

function statusLines(name: string, { connector, state, worker, cause, tasks, stored }: FeedStatus): readonly string[] {
  const rows = [
    ['PART', 'STATE', 'WORKER', 'CAUSE'],
    [`connector ${connector}`, state, worker ?? '', cause ?? ''],
    ...tasks.map((task) => [`task ${task.id}`, task.state, task.worker ?? '', task.cause ?? '']),
  ]
  const time = stored?.time == null ? '' : `, of ${stored.time}`
  const place = stored === null ? 'has stored no position yet' : `has stored the position ${stored.at}${time}`
  return [...aligned(rows), `${name}: the connector ${place}.`]
}

/** `connector pause`, `resume` and `restart`: return when it is so. */
export async function orderConnector(console: Console, name: string, order: 'pause' | 'resume' | 'restart'): Promise<number> {
  await using project = await openProject(console.options.config ?? null)
  const status = await (await project.connector(name))[order]()
  console.answer(statusLines(name, status))
  console.data({ command: order, pipeline: name, ...status })
  return 0
}

/** `connector remove`: asks first. */
export async function removeConnector(console: Console, name: string): Promise<number> {
  await using project = await openProject(console.options.config ?? null)
  const connector = await project.connector(name)
  const { connector: own } = await connector.status()
  console.say(`${name}: removes connector ${own} and what Kafka Connect remembers of it. Its topics, slot and publication stay.`)
  if (!(await console.confirm('Remove the connector?'))) {
    console.say('Left as it was.')
    return 0
  }
  const { removed, left } = await connector.remove()
  console.answer([
    ...removed.map((what) => `removed ${what}`),
    ...left.map(({ what, statement }) => `left    ${what} at the database, which keeps its log for it: ${statement}`),
  ])
  console.data({ command: 'remove', pipeline: name, removed, left })
  return 0
}
