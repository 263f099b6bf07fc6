import { parseDuration } from '../config/duration.ts'
import { asLoadError, ERRORS, LoadError } from '../core/errors.ts'
import { pause } from '../engine/pause.ts'
import { openProject } from '../project/open-project.ts'
import type { Console } from './console.ts'

/** Keeps pipelines up to date. A signal lets the run under way end, and exits 0; a second one ends it at once. */
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
  const report = console.reporter()
  // A failure is told and tried again at the next turn: only a person can end a following run.
  while (!asked.signal.aborted) {
    try {
      const result = await project.run(names, { onEvent: report })
      for (const { error } of result.pipelines) if (error !== null) console.error(error)
    } catch (thrown) {
      const error = asLoadError(thrown)
      if (ERRORS[error.code].retry === 'never') throw error
      console.error(error)
    }
    await pause(seconds, asked.signal)
  }
  return 0
}
