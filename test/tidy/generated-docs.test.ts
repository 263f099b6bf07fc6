import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { GENERATED } from '../../scripts/generate-docs.ts'

test.each(Object.entries(GENERATED))('%s is what the code says; else run: node scripts/generate-docs.ts', (path, make) => {
  expect(readFileSync(join(import.meta.dirname, '../..', path), 'utf8')).toBe(make())
})
