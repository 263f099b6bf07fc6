// The part of `tidemark demo` in partitions: the same orders by day, a first load and a reload that are killed in the middle.

import { count } from '../core/plan-text.ts'
import { checksum } from './demo-compare.ts'
import { load, loadAndKill } from './demo-run.ts'
import { BY_DAY, changeThreeDays } from './demo-shop.ts'
import { compare, loadedText, type Stage, warehouseOf } from './demo-stage.ts'

const { pipeline } = BY_DAY

export async function byDay(stage: Stage): Promise<void> {
  const { console } = stage
  console.say('')
  console.say('7. The same orders by day, with four workers. The run is killed by SIGKILL')
  console.say('   when ten days are in, and started again.')
  await loadAndKill(stage, ['run', pipeline], 'partition-done:10')
  const loaded = await load(stage, ['run', pipeline])
  const { committed, skipped } = loaded.pipelines[0]?.partitions ?? { committed: 0, skipped: 0 }
  console.say(`   ${count(skipped, 'day')} stayed as they were, ${committed} followed: ${loadedText(loaded)}`)
  await compare(stage, 'by day', [{ table: BY_DAY }])
}

export async function threeDays(stage: Stage): Promise<void> {
  const { console, shop } = stage
  console.say('')
  console.say('8. Three days of the past change: orders are refunded, deleted, and moved to')
  console.say('   another day. Only these days are loaded again; the first try is killed')
  console.say('   before a commit.')
  const reload = ['partitions', 'reload', pipeline, ...(await changeThreeDays(shop))]
  const before = await checksum(warehouseOf(stage), BY_DAY)
  await loadAndKill(stage, reload, 'before-commit')
  const after = await checksum(warehouseOf(stage), BY_DAY)
  console.say(before.join() === after.join() ? '   The target is as it was, to the last row.' : '   The target CHANGED.')
  console.say(`   ${loadedText(await load(stage, reload))}`)
  await compare(stage, 'three days', [{ table: BY_DAY }])
}
