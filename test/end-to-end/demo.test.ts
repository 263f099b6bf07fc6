import { readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { userFolder } from './built-command.ts'

const leftovers = (folder: string): string[] => readdirSync(folder).filter((name) => name.startsWith('tidemark-'))

test('loses nothing, doubles nothing, and leaves nothing behind', async () => {
  using folder = userFolder({ NO_COLOR: '1', TMPDIR: undefined })
  const { exit, json, err } = await folder.tidemark(['demo', '-o', 'json'])
  expect({ exit, err: exit === 0 ? '' : err }).toEqual({ exit: 0, err: '' })
  expect(json).toMatchObject({ command: 'demo', ok: true, lost: 0, doubled: 0 })
  expect(json.steps).toHaveLength(7)
  expect(err).toMatch(/would have lost 3 rows here/)
  expect(err).toMatch(/ (9|1\d) days stayed as they were, [12]\d followed: /)
  expect(err).not.toContain('CHANGED')
  expect(json.steps.at(-1)).toMatchObject({ step: 'three days', comparisons: [{ table: 'orders_by_day', equal: true }] })
  expect(err).toMatch(/^lost 0, doubled 0$/m)
  expect(err).not.toContain('\x1b')
  expect(folder.has('tidemark.yml')).toBe(false)
})

test('ended by a signal it leaves nothing behind either', async () => {
  using folder = userFolder({})
  const own = join(folder.path, 'tmp')
  await folder.shell(`mkdir -m 777 ${own} && chmod 755 ${folder.path}`)
  const { child, done } = folder.start(['demo'], { TMPDIR: own })
  await expect.poll(() => leftovers(own).length, { timeout: 20_000 }).toBe(1)
  child.kill('SIGINT')
  await done
  await expect.poll(() => leftovers(own), { timeout: 10_000 }).toEqual([])
  expect(leftovers(tmpdir())).toEqual(expect.any(Array))
})
