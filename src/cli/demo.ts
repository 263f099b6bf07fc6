import type { Console } from './console.ts'
export async function demo(_console: Console, _url?: string): Promise<number> { throw new Error('soon') }
