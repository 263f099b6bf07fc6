// The servers that all tests of the project `servers` share, started once per run. One that does not start fails the run.
// Fresh data directories are kept beside them for the length of the run, so that a test's own server starts from a copy.

import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { startPostgres } from '../../src/testing/postgres-server.ts'
import { buildCli } from './built-cli.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** The shared Postgres, as superuser; tests make databases of their own with `freshDatabase`. */
    postgresUrl: string
    /** The bundled command line. */
    cli: string
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const templates = mkdtempSync(join(tmpdir(), 'tidemark-templates-'))
  chmodSync(templates, 0o755)
  process.env.TIDEMARK_PG_TEMPLATES = templates
  const [postgres, cli] = await Promise.all([startPostgres(), buildCli()])
  project.provide('postgresUrl', postgres.url())
  project.provide('cli', cli.path)
  return async () => {
    cli.remove()
    await postgres[Symbol.asyncDispose]()
    rmSync(templates, { recursive: true, force: true })
  }
}
