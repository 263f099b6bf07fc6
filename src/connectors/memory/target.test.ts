import { testTarget } from '../../testing/conformance.ts'
import { MemoryTarget } from './target.ts'

testTarget('memory', async () => {
  const target = new MemoryTarget()
  return {
    target,
    rows: async () =>
      target.rows('orders').map(([id = null, at, v = null]) => [id as string | null, at as bigint, v as string | null] as const),
  }
})
