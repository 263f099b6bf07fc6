// The course of the measurement: in each run every tool does the same work on the same source, one after the other, and another one
// begins each time. After each the target is compared with the source; where it isn't equal there is no time.

import type { PostgresServer } from '../src/testing/postgres-server.ts'
import { baselines, TIDEMARK, type Tool } from './baselines.ts'
import { type Measurement, measure } from './measure.ts'
import { freshSource, sourceUrl } from './source.ts'
import { Targets } from './targets.ts'
import type { Workload } from './workloads.ts'

export interface Result {
  readonly title: string
  /** Of the last run. */
  readonly rows: number
  /** tidemark is the first. */
  readonly tools: readonly { readonly title: string; readonly runs: readonly Measurement[] }[]
}

export interface Rounds {
  readonly server: PostgresServer
  readonly folder: string
  readonly runs: number
  readonly say: (line: string) => void
}

/** `workloads` are those of one target: its first load, and the increments upon it in their order. */
export async function* measureAll(rounds: Rounds, first: Workload, workloads: readonly Workload[]): AsyncGenerator<Result> {
  const targets = new Targets(rounds.server, rounds.folder)
  const tools = [TIDEMARK, ...baselines(first)]
  await freshSource(rounds.server)
  if (!workloads.includes(first)) {
    rounds.say(`${first.name}, not measured`)
    await round(rounds, targets, tools, first, 0)
  }
  for (const workload of workloads) {
    const measured = new Map(tools.map((tool) => [tool, [] as Measurement[]]))
    let rows = 0
    for (let run = 1; run <= rounds.runs; run++) {
      rounds.say(`${workload.name}, run ${run} of ${rounds.runs}`)
      const turn = run % tools.length
      rows = await round(rounds, targets, [...tools.slice(turn), ...tools.slice(0, turn)], workload, run, measured)
    }
    yield { title: workload.title, rows, tools: tools.map((tool) => ({ title: tool.title(workload), runs: measured.get(tool) ?? [] })) }
  }
}

async function round(
  rounds: Rounds,
  targets: Targets,
  tools: readonly Tool[],
  workload: Workload,
  run: number,
  measured?: ReadonlyMap<Tool, Measurement[]>,
): Promise<number> {
  const rows = await workload.prepare(sourceUrl(rounds.server), run)
  // Reads the whole table, so that the first tool doesn't find colder memory than the second.
  const wanted = await targets.sourceSum()
  for (const tool of tools) {
    if (workload.first) await targets.empty(tool, workload.target)
    await targets.settle(tool, workload.target)
    const result = await measure(tool.command(workload), targets.variables(tool), rounds.folder)
    const found = result.failure === null ? await targets.sum(tool, workload.target) : wanted
    const failure = result.failure ?? (found === wanted ? null : `not equal: source ${wanted}; target ${found}`)
    measured?.get(tool)?.push({ ...result, failure })
    rounds.say(`  ${tool.title(workload)}: ${failure === null ? `${result.seconds.toFixed(2)} s, equal` : `NO RESULT, ${failure}`}`)
  }
  return rows
}
