import { describe, expect, test } from 'vitest'
import type { CdcPipeline } from '../../core/pipeline.ts'
import { checkSlot } from './check-log.ts'
import type { LogLimits } from './log-limits.ts'
import type { Slot } from './slot.ts'

const GIB = 1024 ** 3

const LIMITS: LogLimits = {
  keepBytes: 50 * GIB,
  idleSeconds: null,
  senderTimeoutMs: 60_000,
  slots: { used: 1, allowed: 10 },
  senders: { used: 0, allowed: 10 },
  waitsForStandbys: true,
  absentStandbys: [],
}

const SLOT: Slot = {
  mark: '0/1',
  plugin: 'pgoutput',
  database: 'shop',
  temporary: false,
  active: false,
  reader: null,
  confirmed: 1n,
  walStatus: 'reserved',
  invalidation: null,
  failover: false,
  synced: false,
  retainedBytes: GIB,
  safeBytes: 49 * GIB,
  lagBytes: 100,
}

const pipeline = (failover = false): CdcPipeline => ({
  name: 'shop',
  pattern: 'cdc',
  source: { connection: 'shop', tables: [], slot: 's', publication: 'p', failover, heartbeatSeconds: null, kafka: null, streams: null },
  target: { connection: 'warehouse', schema: null },
  write: 'merge',
  onSchemaChange: 'evolve',
  workers: null,
  maxQuarantined: null,
})

const found = (slot: Partial<Slot> | null, limits: Partial<LogLimits> = {}, failover = false): string[] =>
  checkSlot(pipeline(failover), slot === null ? null : { ...SLOT, ...slot }, { ...LIMITS, ...limits }).map(
    ({ severity, code, message }) => `${severity} ${code}: ${message}`,
  )

describe('a slot', () => {
  test('that is as it should be', () => {
    expect(found({})).toEqual([
      'info slot: Slot s is reserved, and keeps 1.1 GB of the log; 52.6 GB more may be written before the source may give it up.',
    ])
    expect(found(null)).toEqual([])
  })

  test.each([
    [
      'nothing keeps it from growing, and it has grown',
      { retainedBytes: 11 * GIB, safeBytes: null },
      { keepBytes: null },
      'warning slot: Slot s keeps 11.8 GB of the log, and no limit',
    ],
    [
      'nothing keeps it from growing, and it is small',
      { retainedBytes: 9 * GIB, safeBytes: null },
      { keepBytes: null },
      'info slot: Slot s is reserved, and keeps 9.7 GB',
    ],
    ['little is left', { safeBytes: 12 * GIB }, {}, 'warning slot: Slot s keeps 1.1 GB of the log; when 12.9 GB more are written'],
    ['a quarter is left', { safeBytes: 13 * GIB }, {}, 'info slot: Slot s is reserved'],
    [
      'nothing is left',
      { walStatus: 'unreserved', safeBytes: -1 },
      {},
      'warning slot: Slot s keeps 1.1 GB of the log, more than max_slot_wal_keep_size',
    ],
    ['it is lost', { walStatus: 'lost' }, {}, 'error slot: Slot s is lost: the source has removed the log'],
    ['nobody read it', { walStatus: 'lost', invalidation: 'idle_timeout' }, {}, 'error slot: Slot s is lost: nobody read it'],
    [
      'the primary removed rows',
      { walStatus: 'lost', invalidation: 'rows_removed' },
      {},
      'error slot: Slot s is lost: rows of the catalogs',
    ],
    [
      'a reason of a newer version',
      { walStatus: 'lost', invalidation: 'moonlight' },
      {},
      'error slot: Slot s is lost: the source says moonlight',
    ],
  ] as const)('%s', (_, slot, limits, says) => {
    expect(found(slot, limits)[0]).toContain(says)
  })
})

describe('the server', () => {
  test.each([
    ['no limit', {}, { keepBytes: null }, 'info slot-limit: '],
    ['slots all taken, this one among them', {}, { slots: { used: 10, allowed: 10 } }, 'warning slots-used: '],
    ['slots all taken by others', null, { slots: { used: 10, allowed: 10 } }, 'error slots-used: '],
    ['senders all taken by others', {}, { senders: { used: 10, allowed: 10 } }, 'error senders-used: '],
    ['senders all taken, this one among them', { active: true }, { senders: { used: 10, allowed: 10 } }, 'warning senders-used: '],
    ['no patience', {}, { senderTimeoutMs: 4_999 }, 'warning sender-timeout: The source gives up'],
    ['endless patience', {}, { senderTimeoutMs: null }, 'warning sender-timeout: The source never'],
    ['idle slots go', {}, { idleSeconds: 3_600 }, 'warning slot-idle-timeout: The source gives up slots that nobody reads for 1 h'],
  ] as const)('%s', (_, slot, limits, says) => {
    expect(found(slot, limits).filter((text) => !/^\w+ slot:/.test(text))).toEqual([expect.stringContaining(says)])
  })

  test('a failover is prepared only where it was asked for', () => {
    expect(found({}, { waitsForStandbys: false })).toHaveLength(1)
    expect(found({}, { waitsForStandbys: false }, true).slice(1)).toEqual([
      expect.stringContaining('warning slot-failover: Slot s is none that goes along'),
      expect.stringContaining('warning slot-failover: The target may be ahead'),
    ])
    expect(found({ failover: true }, {}, true)).toHaveLength(1)
    expect(found({}, { absentStandbys: ['one', 'two'] })).toHaveLength(1)
    expect(found({ failover: true }, { absentStandbys: ['one', 'two'] })[1]).toContain('until one, two has it')
  })
})
