// Which seeds are played: those that once failed come first, then a fixed number, or only the one in TIDEMARK_SEED.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Bug } from './history.ts'
import { simulate } from './history.ts'
import type { Family } from './scenario.ts'

/** Together they take turns while one waits for a timer. */
const TOGETHER = 50

/** Seeds of `seeds.txt` for a family: lines of family and seed. */
function rememberedSeeds(family: string): readonly number[] {
  const lines = readFileSync(join(import.meta.dirname, 'seeds.txt'), 'utf8').split('\n')
  return lines.flatMap((line) => (line.startsWith(`${family} `) ? [Number(line.split(' ')[1])] : []))
}

export function seedsOf(family: string, count: number): readonly number[] {
  const asked = process.env['TIDEMARK_SEED']
  if (asked !== undefined) return [Number(asked)]
  return [...rememberedSeeds(family), ...Array.from({ length: count }, (_, at) => at + 1)]
}

/** Plays histories; gives the failed ones as lines that can be played again. */
export async function playAll(family: Family, seeds: readonly number[], bug: Bug | null = null, enough = 10): Promise<readonly string[]> {
  return playSeeds(family, seeds, (seed) => simulate(seed, family, bug), { enough, together: TOGETHER })
}

export async function playSeeds(
  family: string,
  seeds: readonly number[],
  play: (seed: number) => Promise<string | null>,
  { enough, together }: { readonly enough: number; readonly together: number } = { enough: 10, together: TOGETHER },
): Promise<readonly string[]> {
  const failed: string[] = []
  for (let at = 0; at < seeds.length && failed.length < enough; at += together) {
    const played = await Promise.all(seeds.slice(at, at + together).map(async (seed) => ({ seed, broken: await play(seed) })))
    for (const { seed, broken } of played) if (broken !== null) failed.push(`${family} ${seed} ${broken}`)
  }
  return failed
}
