// Builds dist/: every module with its types for whoever imports tidemark, and the command in one file, so that it starts
// fast. Made aside and swapped in whole: whoever runs the command meanwhile has the old one or the new one.

import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'

const root = join(import.meta.dirname, '..')
const bin = join(root, 'node_modules', '.bin')
mkdirSync(join(root, '.cache'), { recursive: true })
const made = mkdtempSync(join(root, '.cache', 'dist-'))

try {
  execFileSync(join(bin, 'tsc'), ['-p', 'tsconfig.build.json', '--outDir', made], { cwd: root, stdio: 'inherit' })
} catch {
  rmSync(made, { recursive: true })
  process.exit(1)
}

// What every command needs is inside: one file instead of two hundred saves half of the start. DuckDB is a native library, that of
// Kafka reads files of its own, and that of Snowflake is there only for those who have it.
await build({
  absWorkingDir: root,
  entryPoints: { cli: 'src/cli/launcher.ts', command: 'src/cli/main.ts' },
  outdir: made,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node22.18',
  mainFields: ['module', 'main'],
  external: ['@duckdb/*', '@platformatic/kafka', 'snowflake-sdk', 'pg-native'],
  // The packages inside are CommonJS and ask for Node's modules by `require`.
  banner: {
    js: "import { createRequire as makeRequire } from 'node:module'\nconst require = makeRequire(import.meta.url)",
  },
  legalComments: 'inline',
  logLevel: 'warning',
})
const cli = join(made, 'cli.js')
writeFileSync(cli, `#!/usr/bin/env node\n${readFileSync(cli, 'utf8')}`)
chmodSync(cli, 0o755)

const dist = join(root, 'dist')
const old = `${made}-old`
if (existsSync(dist)) renameSync(dist, old)
renameSync(made, dist)
rmSync(old, { recursive: true, force: true })
