import { plan as makePlan } from '../core/plan.ts'
import { planText } from '../core/plan-text.ts'
import { openProject } from '../project/open-project.ts'
import { planJson } from '../reporters/json.ts'
import type { Console } from './console.ts'
import type { RunFlags } from './run.ts'

/** Prints what a run would do; changes nothing. */
export async function plan(console: Console, names: readonly string[], flags: RunFlags & { readonly sql?: boolean }): Promise<number> {
  await using project = await openProject(console.options.config ?? null)
  const plans = []
  for (const pipeline of await project.pipelines(names)) {
    const request = {
      from: flags.from ?? null,
      to: flags.to ?? null,
      fullRefresh: flags.fullRefresh ?? false,
      sweep: flags.sweep ?? false,
      maxSlices: flags.maxSlices ?? null,
    }
    const one = makePlan(await project.observe(pipeline.name, request))
    const { target } = await project.ends(pipeline)
    const explain = flags.sql === true ? target.explain?.bind(target) : undefined
    console.answer(planText(one))
    if (explain !== undefined)
      for (const { load } of one.steps)
        console.answer(explain({ ...load, runId: '' }).map((sql) => `    ${sql.replaceAll(/\s*\n\s*/g, ' ')};`))
    plans.push(planJson(one, explain))
  }
  console.data({ command: 'plan', pipelines: plans })
  return 0
}
