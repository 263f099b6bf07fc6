import { parseDuration } from '../config/duration.ts'
import { asLoadError, ERRORS, LoadError } from '../core/errors.ts'
import { pause } from '../engine/pause.ts'
import { type OpenProject, openProject } from '../project/open-project.ts'
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
  await Promise.all([
    ...(repeated.length === 0 ? [] : [keepOn(turn, repeated, false)]),
    ...streamed.map((name) => keepOn(turn, [name], true)),
  ])
  return 0
}

interface Turn {
  readonly console: Console
  readonly project: OpenProject
  readonly seconds: number
  readonly signal: AbortSignal
}

/** A failure is told and tried again at the next turn: only a person can end a following run. A log is followed within one turn. */
async function keepOn({ console, project, seconds, signal }: Turn, names: readonly string[], follows: boolean): Promise<void> {
  const report = console.reporter()
  while (!signal.aborted) {
    try {
      const result = await project.run(names, { onEvent: report, ...(follows ? { follows, signal } : {}) })
      if (!signal.aborted) for (const { error } of result.pipelines) if (error !== null) console.error(error)
    } catch (thrown) {
      const error = asLoadError(thrown)
      if (ERRORS[error.code].retry === 'never') throw error
      console.error(error)
    }
    await pause(seconds, signal)
  }
}
