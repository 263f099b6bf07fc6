// A connector of Kafka Connect and its tasks: how they are, and waiting until they are as they should be. Connect carries out nothing
// at once, shows old states for a moment, and calls a connector RUNNING whose tasks have failed.

import { setTimeout as rest } from 'node:timers/promises'
import type { FeedStatus, FeedTask } from '../../contract/change-feed.ts'
import { LoadError } from '../../core/errors.ts'
import type { ConnectApi } from './connect-api.ts'
import { type ConnectorConfig, withoutSecrets } from './hide-secrets.ts'
import { storedPosition } from './stored-position.ts'
import { traceCause } from './trace-cause.ts'

/** How patient waiting is. A state counts when it has stayed for a while: a task fails a moment after it began to run. */
export interface Pace {
  readonly lookMs: number
  readonly staysMs: number
  readonly patienceMs: number
}

export const PACE: Pace = { lookMs: 250, staysMs: 2_000, patienceMs: 60_000 }

interface RawPart {
  readonly state?: string
  readonly worker_id?: string
  readonly trace?: string
}

interface RawStatus {
  readonly connector?: RawPart
  readonly tasks?: readonly (RawPart & { readonly id?: number })[]
}

export function pathOf(connector: string, rest = ''): string {
  return `/connectors/${encodeURIComponent(connector)}${rest}`
}

/** null where there is none of that name. */
export async function runningConfig(api: ConnectApi, connector: string): Promise<ConnectorConfig | null> {
  const { status, body } = await api.request('GET', pathOf(connector, '/config'))
  return status === 404 ? null : (body as ConnectorConfig)
}

/** Throws `missing-connector`. */
export async function readStatus(api: ConnectApi, connector: string, configs: readonly ConnectorConfig[]): Promise<FeedStatus> {
  const found = await statusOf(api, connector, configs)
  if (found === null) throw missing(api, connector)
  const offsets = await api.request('GET', pathOf(connector, '/offsets'))
  // Before Kafka 3.5 there is no such page.
  return offsets.status === 200 ? { ...found, stored: storedPosition(offsets.body) } : found
}

export function missing(api: ConnectApi, connector: string): LoadError {
  return new LoadError('missing-connector', `Kafka Connect at ${api.shown} has no connector ${connector}.`)
}

async function statusOf(api: ConnectApi, connector: string, configs: readonly ConnectorConfig[]): Promise<FeedStatus | null> {
  const { status, body } = await api.request('GET', pathOf(connector, '/status'))
  if (status !== 200) return null
  const { connector: own = {}, tasks = [] } = body as RawStatus
  const part = ({ state, worker_id, trace }: RawPart): Omit<FeedTask, 'id'> => {
    const cause = traceCause(trace ?? '')
    return { state: state ?? 'UNASSIGNED', worker: worker_id ?? null, cause: cause === null ? null : withoutSecrets(cause, configs) }
  }
  return { connector, ...part(own), tasks: tasks.map((task, at) => ({ id: task.id ?? at, ...part(task) })), stored: null }
}

export type Goal = 'RUNNING' | 'PAUSED' | 'STOPPED'

/**
 * Returns when connector and tasks have that state and keep it; with `asked`, by that configuration. Throws `connector-failed`,
 * `connector-busy`, `missing-connector`.
 */
export async function waitFor(
  api: ConnectApi,
  connector: string,
  goal: Goal,
  { configs, pace, asked }: { readonly configs: readonly ConnectorConfig[]; readonly pace: Pace; readonly asked?: ConnectorConfig },
): Promise<FeedStatus> {
  const until = performance.now() + pace.patienceMs
  let [seen, since] = ['', 0]
  for (;;) {
    const found = await statusOf(api, connector, configs)
    const isThere = found !== null && isAt(found, goal) && (asked === undefined || (await tasksHave(api, connector, asked)))
    const what = isThere ? goal : found !== null && failureOf(found, goal) !== null ? 'FAILED' : 'on its way'
    const now = performance.now()
    if (seen !== what) [seen, since] = [what, now]
    const stays = now - since >= pace.staysMs
    if (found !== null && what === goal && (stays || goal !== 'RUNNING')) return readStatus(api, connector, configs)
    if (found !== null && what === 'FAILED' && stays) throw failed(found)
    if (now > until) throw found === null ? missing(api, connector) : tooLate(found, goal, pace)
    await rest(pace.lookMs)
  }
}

/** A changed configuration reaches running tasks a while later. Whether Connect shows references there or what they stand for is its own affair. */
async function tasksHave(api: ConnectApi, connector: string, asked: ConnectorConfig): Promise<boolean> {
  const { status, body } = await api.request('GET', pathOf(connector, '/tasks'))
  const tasks = status === 200 ? (body as readonly { readonly config?: ConnectorConfig }[]) : []
  const fixed = Object.entries(asked).filter(([, value]) => !value.includes('${'))
  return tasks.every(({ config }) => fixed.every(([property, value]) => config?.[property] === value))
}

/** A stopped connector has no tasks; those that it had may be seen for a moment. */
function isAt({ state, tasks }: FeedStatus, goal: Goal): boolean {
  if (goal === 'STOPPED') return state === goal && tasks.length === 0
  return state === goal && (tasks.length > 0 || goal === 'PAUSED') && tasks.every((task) => task.state === goal)
}

/** What of it has failed, and why; null where nothing has. What is to be stopped may have failed. */
export function failureOf({ connector, state, cause, tasks }: FeedStatus, goal: Goal = 'RUNNING'): string | null {
  if (goal === 'STOPPED') return null
  const because = (why: string | null): string => (why === null ? '' : `: ${why}`)
  if (state === 'FAILED') return `Connector ${connector} has failed${because(cause)}`
  const task = tasks.find((one) => one.state === 'FAILED')
  return task === undefined ? null : `Task ${task.id} of connector ${connector} has failed${because(task.cause)}`
}

function failed(status: FeedStatus): LoadError {
  return new LoadError('connector-failed', failureOf(status) ?? `Connector ${status.connector} has failed`)
}

function tooLate(status: FeedStatus, goal: Goal, { patienceMs }: Pace): LoadError {
  const { connector, state, tasks } = status
  const old = isAt(status, goal) ? ', by an older configuration' : ''
  const parts = tasks.length === 0 ? 'it has no tasks' : `its tasks are ${tasks.map((task) => task.state).join(', ')}`
  return new LoadError(
    'connector-busy',
    `Connector ${connector} was not ${goal} within ${patienceMs / 1000} s: it is ${state}, ${parts}${old}.`,
  )
}
