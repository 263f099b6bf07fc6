import { expect, test } from 'vitest'
import { LoadError } from '../core/errors.ts'
import type { Machinery } from './machinery.ts'
import { DEFAULT_SETTINGS } from './machinery.ts'
import { withRetries } from './progress.ts'

const machinery = (pauses: number[]): Machinery =>
  ({
    settings: { ...DEFAULT_SETTINGS, retries: 2, retrySeconds: 1 },
    emit: () => {},
    signal: new AbortController().signal,
    time: {
      pause: async (seconds: number) => {
        pauses.push(seconds)
      },
    },
  }) as unknown as Machinery

const fails = async (): Promise<never> => {
  throw new LoadError('connection-lost', 'The line is cut.')
}

test('gives up after so many attempts in a row', async () => {
  const pauses: number[] = []
  await expect(withRetries('p', machinery(pauses), fails)).rejects.toMatchObject({ code: 'connection-lost' })
  expect(pauses).toHaveLength(2)
})

test('a failure after progress is the first one again, and waited for as shortly', async () => {
  const pauses: number[] = []
  let commits = 0
  const attempt = async (): Promise<never> => {
    if (commits < 40) commits += 1
    return fails()
  }
  await expect(withRetries('p', machinery(pauses), attempt, () => commits)).rejects.toMatchObject({ code: 'connection-lost' })
  expect(pauses).toHaveLength(40 + 1)
  expect(Math.max(...pauses.slice(0, 40))).toBeLessThanOrEqual(1.5)
})
