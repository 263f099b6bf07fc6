// A vitest reporter that ends every run with one plain line, `N passed, N failed`, and leaves the figures in the file named by
// TIDEMARK_TEST_SUMMARY. A file that can't be loaded and an error outside any test count as failed.

import { writeFileSync } from 'node:fs'
import type { Reporter, SerializedError, TestModule } from 'vitest/node'

export default class ClosingLineReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    let passed = 0
    let failed = unhandled.length
    let skipped = 0
    for (const module of modules) {
      failed += module.errors().length
      for (const suite of module.children.allSuites()) failed += suite.errors().length
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        if (state === 'passed') passed++
        else if (state === 'failed') failed++
        else skipped++
      }
    }
    console.log(`${passed} passed, ${failed} failed`)
    const file = process.env.TIDEMARK_TEST_SUMMARY
    if (file) writeFileSync(file, `${passed} ${failed} ${skipped}\n`)
  }
}
