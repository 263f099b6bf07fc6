// Builds dist/: every module with its types for whoever imports tidemark, and the command in one file, so that it starts fast.
// npm dependencies stay outside of it. Connectors are imported when first used and keep being so in the bundle.

import { execFileSync } from 'node:child_process'
import { chmodSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'

const root = join(import.meta.dirname, '..')
const bin = join(root, 'node_modules', '.bin')

rmSync(join(root, 'dist'), { recursive: true, force: true })
try {
  execFileSync(join(bin, 'tsc'), ['-p', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' })
} catch {
  process.exit(1)
}

const command = join(root, 'dist', 'cli.js')
await build({
  absWorkingDir: root,
  entryPoints: ['src/cli/main.ts'],
  outfile: command,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node22.18',
  packages: 'external',
  banner: { js: '#!/usr/bin/env node' },
  logLevel: 'warning',
})
chmodSync(command, 0o755)
