// What a service promises that reads the log of a database by itself and writes it where a pipeline reads: it is set up, looked at and
// stopped from here. It moves no row and no position of tidemark's.

import type { CdcPipeline } from '../core/pipeline.ts'
import type { Finding } from './finding.ts'
import type { LogStatus } from './log.ts'

export interface ChangeFeed {
  /** What registering would change; the service has checked it. Throws `connector-refused`, `missing-plugin`, `bad-usage`. */
  preview(pipeline: CdcPipeline): Promise<FeedPreview>
  /** Sets it up, or changes it, and returns when all of it runs. Throws `connector-failed` with the cause. */
  register(pipeline: CdcPipeline): Promise<FeedStatus>
  status(pipeline: CdcPipeline): Promise<FeedStatus>
  /** Each returns when it is so. */
  pause(pipeline: CdcPipeline): Promise<FeedStatus>
  resume(pipeline: CdcPipeline): Promise<FeedStatus>
  restart(pipeline: CdcPipeline): Promise<FeedStatus>
  /** With all that the service remembers of it. What it made at the database stays there. */
  remove(pipeline: CdcPipeline): Promise<FeedRemoved>
  /** What its configuration loses, and whether all of it runs. `slot`: as the database has it; null: nobody could be asked. */
  check(pipeline: CdcPipeline, slot: FeedSlot | null): Promise<readonly Finding[]>
}

export interface FeedPreview {
  readonly connector: string
  /** Something of that name runs already. */
  readonly exists: boolean
  readonly changes: readonly PropertyChange[]
  /** Properties that the service does not know: it takes them without a word. */
  readonly unknown: readonly string[]
}

/** Values as they may be shown: a secret is a row of stars. null: not there. */
export interface PropertyChange {
  readonly property: string
  readonly was: string | null
  readonly becomes: string | null
}

export interface FeedStatus {
  readonly connector: string
  /** RUNNING, PAUSED, STOPPED, FAILED, UNASSIGNED, RESTARTING. */
  readonly state: string
  readonly worker: string | null
  /** Why it has failed, in one line. */
  readonly cause: string | null
  readonly tasks: readonly FeedTask[]
  /** How far it has read the log, as it has stored it; null where it has stored nothing. */
  readonly stored: FeedPosition | null
}

export interface FeedTask {
  readonly id: number
  readonly state: string
  readonly worker: string | null
  readonly cause: string | null
}

export interface FeedPosition {
  /** In the log of the source, as the source prints it. */
  readonly at: string
  /** When the source wrote it, ISO. */
  readonly time: string | null
}

export interface FeedRemoved {
  readonly removed: readonly string[]
  /** What stays at the database, and the statements that remove it there. */
  readonly left: readonly { readonly what: string; readonly statement: string }[]
}

export type FeedSlot = Pick<LogStatus, 'state' | 'confirmed'>

/** The database that it reads. It holds a secret: never part of a message. */
export interface ServerAddress {
  readonly host: string
  readonly port: number
  readonly database: string
  readonly user: string
  readonly password: string | null
  /** disable, require, verify-ca or verify-full. */
  readonly tls: string
}
