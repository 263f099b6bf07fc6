import { readFileSync } from 'node:fs'

/** The version of the package that this file is part of. */
export const VERSION: string = (JSON.parse(readFileSync(new URL('../package.json', packageFile()), 'utf8')) as { version: string }).version

/** In the bundle this file is dist/cli.js, otherwise src/cli/version.ts. */
function packageFile(): URL {
  return import.meta.url.endsWith('.ts') ? new URL('..', import.meta.url) : new URL(import.meta.url)
}
