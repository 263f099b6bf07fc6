import type { Console } from './console.ts'
export async function init(_console: Console, _url?: string): Promise<number> { throw new Error('soon') }
