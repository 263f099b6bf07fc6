import { describe, expect, test } from 'vitest'
import type { CdcPipeline } from '../../core/pipeline.ts'
import { type LogFacts, refuseOptions, refuseServer } from './log-facts.ts'

const FACTS: LogFacts = {
  walLevel: 'logical',
  role: 'reader',
  mayReplicate: true,
  emits: 'pg_logical_emit_message(boolean,text,text)',
  mayEmit: true,
  standby: false,
  version: 180_004,
  system: '7',
  database: '5',
  databaseName: 'shop',
  timeline: 1,
  flushed: 1n,
}

const pipeline = (failover: boolean, heartbeatSeconds: number | null): CdcPipeline => ({
  name: 'shop',
  pattern: 'cdc',
  source: { connection: 'shop', tables: [], slot: 's', publication: 'p', failover, heartbeatSeconds, kafka: null, streams: null },
  target: { connection: 'warehouse', schema: null },
  write: 'merge',
  onSchemaChange: 'evolve',
  workers: null,
  maxQuarantined: null,
})

function refusal(facts: Partial<LogFacts>, failover = false, heartbeat: number | null = null): string | null {
  try {
    refuseServer({ ...FACTS, ...facts }, 'source shop')
    refuseOptions({ ...FACTS, ...facts }, pipeline(failover, heartbeat), 'source shop')
    return null
  } catch (error) {
    const { code, message } = error as { code: string; message: string }
    return `${code}: ${message}`
  }
}

describe('a server whose log is to be read', () => {
  test.each([
    ['PostgreSQL 13', { version: 130_015 }, false, null, 'unsupported-server: source shop is PostgreSQL 13; the oldest'],
    ['PostgreSQL 14', { version: 140_000 }, false, null, null],
    [
      'a standby of 15',
      { version: 150_018, standby: true },
      false,
      null,
      'log-unavailable: source shop is a standby; before PostgreSQL 16',
    ],
    ['a standby of 16', { version: 160_000, standby: true }, false, null, null],
    [
      'a failover slot of 16',
      { version: 160_000 },
      true,
      null,
      'log-unavailable: Pipeline shop asks for a failover slot; source shop is PostgreSQL 16',
    ],
    ['a failover slot of 17', { version: 170_000 }, true, null, null],
    [
      'a failover slot at a standby',
      { standby: true },
      true,
      null,
      'log-unavailable: Pipeline shop asks for a failover slot; source shop is a standby',
    ],
    ['a heartbeat at a standby', { standby: true }, false, 10, 'log-unavailable: Pipeline shop has a heartbeat; source shop is a standby'],
    ['a heartbeat of a role that may', {}, false, 10, null],
    [
      'a heartbeat of a role that may not',
      { mayEmit: false },
      false,
      10,
      'missing-privilege: Role reader of source shop may not write the heartbeat',
    ],
    ['no heartbeat of a role that may not', { mayEmit: false }, false, null, null],
  ] as const)('%s', (_, facts, failover, heartbeat, says) => {
    const refused = refusal(facts, failover, heartbeat)
    if (says === null) expect(refused).toBeNull()
    else expect(refused).toContain(says)
  })
})
