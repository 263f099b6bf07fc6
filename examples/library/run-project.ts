// Loads the project beside this file: what `tidemark run` does, with plan, events and results as data.

import { join } from 'node:path'
import { openProject } from 'tidemark'

await using project = await openProject(join(import.meta.dirname, 'tidemark.config.ts'))

const plan = await project.plan('orders')
console.log(`about ${plan.estimatedRows ?? 0} rows to load`)

const result = await project.run('orders', {
  onEvent: (event) => {
    if (event.kind === 'committed') console.log(`${event.rows.inserted} inserted, ${event.rows.updated} updated`)
  },
})
for (const { pipeline, status, error } of result.pipelines) console.log(`${pipeline}: ${status}${error === null ? '' : ` (${error.code})`}`)

// Exact text, never a Date: a Date has no microseconds.
console.log(`watermark ${await project.getWatermark('orders')}`)
