import { defineConfig } from 'vitest/config'

const pure = ['src/**/*.test.ts', 'test/tidy.test.ts', 'test/tidy/**/*.test.ts', 'test/simulate/**/*.test.ts']

export default defineConfig({
  test: {
    reporters: ['default', './scripts/closing-line-reporter.ts'],
    projects: [
      {
        extends: true,
        test: { name: 'pure', include: pure, testTimeout: 60_000, sequence: { groupOrder: 0 } },
      },
      {
        // Real servers and real processes. One shared Postgres; each file its own databases.
        extends: true,
        test: {
          name: 'servers',
          include: ['test/**/*.test.ts'],
          exclude: pure,
          globalSetup: './test/servers/shared-servers.ts',
          testTimeout: 300_000,
          hookTimeout: 300_000,
          maxWorkers: 3,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
})
