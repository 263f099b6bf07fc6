import { parseDuration } from '../config/duration.ts'
import { asLoadError, ERRORS, LoadError } from '../core/errors.ts'
import type { ErrorReport } from '../core/event.ts'
import { pause } from '../engine/pause.ts'
import { type OpenProject, openProject, type RunOptions } from '../project/open-project.ts'
import type { Console } from './console.ts'

/** Keeps pipelines up to date. A signal lets what is under way end, and exits 0; a second one ends it at once. */
export async function follow(console: Console, names: readonly string[], flags: { readonly every: string }): Promise<number> {
  const seconds = parseDuration(flags.every)
  if (seconds === null) throw new LoadError('bad-usage', `"${flags.every}" is no duration.`, { hint: 'Write it like 30s, 5m or 1h30m.' })
  const asked = new AbortController()
  const stop = (): void => {
    if (asked.signal.aborted) process.exit(130)
    console.say('Stopping after what is in flight. Once more to stop at once.')
    asked.abort()
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  await using project = await openProject(console.options.config ?? null)
  const pipelines = await project.pipelines(names)
  const streamed = pipelines.filter(({ pattern }) => pattern === 'cdc').map(({ name }) => name)
  const repeated = pipelines.filter(({ pattern }) => pattern !== 'cdc').map(({ name }) => name)
  const turn = { console, project, seconds, signal: asked.signal }
  const exits = await Promise.all([
    ...(repeated.length === 0 ? [] : [keepOn(turn, repeated, false)]),
    ...streamed.map((name) => keepOn(turn, [name], true)),
  ])
  return Math.max(...exits)
}

/** Another run is at work: when it ends, this one can go on. */
const EXIT_RIVAL = 5

interface Turn {
  readonly console: Console
  readonly project: OpenProject
  readonly seconds: number
  readonly signal: AbortSignal
}

/**
 * A failure is told and tried again at the next turn: only a person can end it. A log is followed within one turn; where it can't be any
 * more, this ends with what it told, and the others go on.
 */
async function keepOn(turn: Turn, names: readonly string[], follows: boolean): Promise<number> {
  const { console, seconds, signal } = turn
  const report = console.reporter()
  while (!signal.aborted) {
    const errors = await errorsOf(turn, names, { onEvent: report, ...(follows ? { follows, signal } : {}) })
    if (signal.aborted) break
    for (const error of errors) console.error(error)
    const last = errors.map(({ code }) => ERRORS[code]).find(({ retry, exit }) => retry === 'never' && exit !== EXIT_RIVAL)
    if (follows && last !== undefined) return last.exit
    await pause(seconds, signal)
  }
  return 0
}

/** Throws what keeps pipelines that are repeated from beginning, and only a person can mend. */
async function errorsOf({ project }: Turn, names: readonly string[], options: RunOptions): Promise<readonly ErrorReport[]> {
  try {
    return (await project.run(names, options)).pipelines.flatMap(({ error }) => error ?? [])
  } catch (thrown) {
    const error = asLoadError(thrown)
    if (options.follows !== true && ERRORS[error.code].retry === 'never') throw error
    return [error]
  }
}
