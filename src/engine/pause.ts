import { setTimeout } from 'node:timers/promises'

/** Waits, but not longer than the signal lets it. */
export async function pause(seconds: number, signal: AbortSignal): Promise<void> {
  await setTimeout(seconds * 1000, undefined, { signal }).catch(() => {})
}
