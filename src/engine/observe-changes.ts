// A look at a log and at what is stored of it: which tables a run copies, and whether what is stored is of this pipeline. Changes nothing.

import type { LogObservation, LogSource } from '../contract/log.ts'
import { LoadError } from '../core/errors.ts'
import {
  type CdcPipeline,
  fingerprintChanges,
  fingerprintWord,
  fingerprintWords,
  logFingerprint,
  rewrittenTables,
  targetTables,
} from '../core/pipeline.ts'
import type { LogPosition } from '../core/position.ts'
import type { State } from '../core/state.ts'
import { parseTableName, printTableName } from '../core/table.ts'

export type FollowedState = State & { readonly position: LogPosition }

export interface ChangesObservation {
  readonly seen: LogObservation
  /** Names of tables that are copied first. */
  readonly copying: readonly string[]
  /** Those of them whose rows have other values than the log has told of. */
  readonly rewritten: readonly string[]
}

export function isFollowed(state: State | null): state is FollowedState {
  return state?.position.kind === 'log'
}

/** Throws `bad-usage` for a table that the pipeline does not have. */
export function tablesNamed(pipeline: CdcPipeline, asked: readonly string[]): readonly string[] {
  const known = pipeline.source.tables.map(printTableName)
  return asked.map((text) => {
    const parsed = parseTableName(text)
    const name = parsed === null ? text : printTableName(parsed)
    if (known.includes(name)) return name
    throw new LoadError('bad-usage', `Pipeline ${pipeline.name} has no table ${text}.`, { hint: `It has ${known.join(', ')}.` })
  })
}

/** Before all tables are copied. `fresh`: what is left over of another copy may go. */
export async function observeBeginning(
  pipeline: CdcPipeline,
  log: LogSource,
  state: State | null,
  fresh: boolean,
): Promise<ChangesObservation> {
  const seen = await log.observe(pipeline, null)
  if (!fresh) refuseTakenSlot(pipeline, seen, state)
  return { seen, rewritten: [], copying: seen.tables.map(({ name }) => printTableName(name)) }
}

/** A slot that nobody here remembers is another project's, whose place in the log would be lost with it. Throws `log-unavailable`. */
function refuseTakenSlot({ name, source }: CdcPipeline, seen: LogObservation, state: State | null): void {
  if (seen.there.slot === null || (state !== null && fingerprintWords(state.fingerprint, 'source').has(seen.identity))) return
  throw new LoadError(
    'log-unavailable',
    `${capital(seen.makes?.[0] ?? `slot ${source.slot}`)} exists already, and the target does not know it as one of pipeline ${name}.`,
    {
      hint: `${seen.makes === undefined ? 'Name another `slot` and `publication`' : 'Give the pipeline another name'}. If it is left over from a target that is gone, \`--full-refresh\` makes a new one in its place.`,
    },
  )
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}

/** Before a log is followed on. `asked`: names of tables that are to be copied again. */
export async function observeFollowing(
  pipeline: CdcPipeline,
  log: LogSource,
  state: FollowedState,
  asked: readonly string[],
): Promise<ChangesObservation> {
  const copying = [...(state.position.copying ?? []), ...asked]
  // What is copied again needs nothing of the log before.
  const seen = await log.observe(pipeline, { ...state, position: { ...state.position, copying } })
  const rewritten = rewrittenTables(state.fingerprint, seen)
  const all = [...new Set([...copying, ...addedTables(pipeline, seen, state), ...rewritten])]
  if (seen.together === true && all.length > 0)
    throw new LoadError('bad-usage', `Pipeline ${pipeline.name} can't copy ${all.join(', ')} alone: its tables are loaded together.`, {
      hint: 'Load all of them again with `--full-refresh`.',
    })
  return { seen, rewritten, copying: all }
}

/** Names of the pipeline's tables that the stored position knows nothing of. Throws `definition-changed` for any other change. */
function addedTables(pipeline: CdcPipeline, seen: LogObservation, { fingerprint }: State): readonly string[] {
  const now = logFingerprint(pipeline, seen)
  const changed = fingerprintChanges(fingerprint, now).filter((part) => part !== 'tables' && part !== 'target table')
  if (changed.length > 0)
    throw new LoadError('definition-changed', `Pipeline ${pipeline.name} was loaded with another ${changed.join(', ')} than it has now.`)
  const known = fingerprintWords(fingerprint, 'tables')
  const targets = fingerprintWords(fingerprint, 'target')
  const wanted = targetTables(pipeline).map(fingerprintWord)
  const moved = seen.tables.find(({ identity }, index) => known.has(identity) && !targets.has(wanted[index] ?? ''))
  if (moved !== undefined)
    throw new LoadError(
      'definition-changed',
      `Pipeline ${pipeline.name} was loaded with another target table for ${printTableName(moved.name)}.`,
    )
  return seen.tables.filter(({ identity }) => !known.has(identity)).map(({ name }) => printTableName(name))
}
