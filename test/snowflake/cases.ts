// What Snowflake is known to do, as data, and on what evidence we believe it. The emulator passes all of it through the unmodified driver; on a
// real account the same table says which beliefs are wrong.

import { LOCKS } from './cases/locks.ts'
import { LOST_STREAMS } from './cases/lost-streams.ts'
import { MERGES } from './cases/merges.ts'
import { NAMES_AND_VALUES } from './cases/names-and-values.ts'
import type { SnowflakeCase } from './cases/snowflake-case.ts'
import { OFFSETS } from './cases/stream-offsets.ts'
import { NET_CHANGES } from './cases/stream-rows.ts'

export const CASES: readonly SnowflakeCase[] = [...NET_CHANGES, ...OFFSETS, ...LOCKS, ...MERGES, ...LOST_STREAMS, ...NAMES_AND_VALUES]
