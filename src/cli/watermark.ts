import { watermarkOf } from '../core/position.ts'
import { openProject } from '../project/open-project.ts'
import { historyJson, watermarkJson } from '../reporters/json.ts'
import type { Console } from './console.ts'
import { aligned } from './status.ts'

/** `watermark get`: how far a pipeline has delivered. */
export async function getWatermark(console: Console, name: string): Promise<number> {
  await using project = await openProject(console.options.config ?? null)
  const [pipeline] = await project.pipelines([name])
  const state = await project.state(name)
  console.answer([watermarkOf(state?.position ?? null) ?? '(none yet)'])
  console.data(watermarkJson(name, pipeline?.pattern ?? 'watermark', state))
  return 0
}

/** `watermark history`: every commit, newest first. */
export async function watermarkHistory(console: Console, name: string): Promise<number> {
  await using project = await openProject(console.options.config ?? null)
  const rows = await project.history(name)
  const head = ['EPOCH', 'AT (UTC)', 'CAUSE', 'READ', 'INSERTED', 'UPDATED', 'WATERMARK']
  const number = (row: (typeof rows)[number], kind: string): string => String(row.rows[kind] ?? 0)
  console.answer(
    aligned([
      head,
      ...rows.map((row) => [
        String(row.epoch),
        row.at.slice(0, 19),
        row.cause,
        number(row, 'read'),
        number(row, 'inserted'),
        number(row, 'updated'),
        watermarkOf(row.to) ?? '-',
      ]),
    ]),
  )
  console.data(historyJson(name, rows))
  return 0
}

/** `watermark set` and `rewind`: shows what would be read again, and asks. */
export async function moveWatermark(console: Console, name: string, value: string, cause: 'set' | 'rewind'): Promise<number> {
  await using project = await openProject(console.options.config ?? null)
  const before = await project.state(name)
  const preview = await project.previewWatermark(name, value, cause)
  const what = preview.ahead
    ? 'Rows between the old watermark and the new one that are not loaded yet would be skipped.'
    : `About ${preview.rows ?? 'an unknown number of'} rows would be read again.`
  console.say(`${name}: ${watermarkOf(before?.position ?? null) ?? '(none)'} → ${watermarkOf(preview.position) ?? '(none)'}. ${what}`)
  if (!(await console.confirm('Move the watermark?'))) {
    console.say('Left as it was.')
    return 0
  }
  const { to } = await project.setWatermark(name, value, cause)
  console.answer([watermarkOf(to.position) ?? '(none)'])
  console.data({ pipeline: name, from: before?.position ?? null, to: to.position, epoch: to.epoch, cause })
  return 0
}
