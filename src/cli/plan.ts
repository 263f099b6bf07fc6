import { changePlanText } from '../core/change-plan.ts'
import { partitionLoad } from '../core/partition-plan.ts'
import { partitionPlanText } from '../core/partition-plan-text.ts'
import { planText } from '../core/plan-text.ts'
import { openProject } from '../project/open-project.ts'
import { changePlanJson, partitionPlanJson, planJson } from '../reporters/json.ts'
import type { Console } from './console.ts'
import { type RunFlags, requestOf } from './request.ts'

/** Prints what a run would do; changes nothing. */
export async function plan(console: Console, names: readonly string[], flags: RunFlags & { readonly sql?: boolean }): Promise<number> {
  await using project = await openProject(console.options.config ?? null)
  const plans = []
  for (const pipeline of await project.pipelines(names)) {
    const one = await project.plan(pipeline.name, requestOf(flags, console))
    const { target } = await project.ends(pipeline)
    const explain = flags.sql === true ? target.explain?.bind(target) : undefined
    if ('copies' in one) {
      console.answer(changePlanText(one))
      plans.push(changePlanJson(one))
      continue
    }
    const isPartitioned = 'partitions' in one
    console.answer(isPartitioned ? partitionPlanText(one, console.options.verbose === true) : planText(one))
    const loads = isPartitioned
      ? one.loads.map((planned) => partitionLoad(one, planned, ''))
      : one.steps.map(({ load }) => ({ ...load, runId: '' }))
    if (explain !== undefined)
      for (const load of loads) console.answer(explain(load).map((sql) => `    ${sql.replaceAll(/\s*\n\s*/g, ' ')};`))
    plans.push(isPartitioned ? partitionPlanJson(one, explain) : planJson(one, explain))
  }
  console.data({ command: 'plan', pipelines: plans })
  return 0
}
