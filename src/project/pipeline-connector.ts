// The connector that fills the topics of one pipeline: set up, looked at and stopped from here.

import type { ChangeFeed, FeedPreview, FeedRemoved, FeedSlot, FeedStatus } from '../contract/change-feed.ts'
import type { Finding } from '../contract/finding.ts'
import { LoadError } from '../core/errors.ts'
import type { CdcPipeline, Pipeline } from '../core/pipeline.ts'
import type { Connections } from './connections.ts'

export class PipelineConnector {
  readonly #pipeline: CdcPipeline
  readonly #feed: ChangeFeed
  readonly #connections: Connections

  constructor(pipeline: CdcPipeline, feed: ChangeFeed, connections: Connections) {
    this.#pipeline = pipeline
    this.#feed = feed
    this.#connections = connections
  }

  /** What `register` would change; Kafka Connect has checked it. Throws `connector-refused`, `missing-plugin`. */
  async preview(): Promise<FeedPreview> {
    return this.#feed.preview(this.#pipeline)
  }

  /** Makes it what the pipeline says, and returns when it and all its tasks run. Throws `connector-failed` with the cause. */
  async register(): Promise<FeedStatus> {
    return this.#feed.register(this.#pipeline)
  }

  async status(): Promise<FeedStatus> {
    return this.#feed.status(this.#pipeline)
  }

  /** Each of these returns when it is so. */
  async pause(): Promise<FeedStatus> {
    return this.#feed.pause(this.#pipeline)
  }

  async resume(): Promise<FeedStatus> {
    return this.#feed.resume(this.#pipeline)
  }

  async restart(): Promise<FeedStatus> {
    return this.#feed.restart(this.#pipeline)
  }

  /** With what Kafka Connect remembers of it. Slot and publication stay at the database. */
  async remove(): Promise<FeedRemoved> {
    return this.#feed.remove(this.#pipeline)
  }

  /** What its configuration loses, whether all of it runs, and whether its slot is where it stopped. */
  async check(): Promise<readonly Finding[]> {
    const [slot, findings] = await this.#slot()
    return [...findings, ...(await this.#feed.check(this.#pipeline, slot))]
  }

  /** A database that can't be asked is a finding too. */
  async #slot(): Promise<readonly [slot: FeedSlot | null, findings: readonly Finding[]]> {
    const from = this.#pipeline.source.kafka?.connector?.from ?? null
    if (from === null) return [null, []]
    try {
      const source = await this.#connections.source(from)
      return [(await source.log?.status(this.#pipeline, null)) ?? null, []]
    } catch (error) {
      if (!(error instanceof LoadError)) throw error
      const message = `The slot of pipeline ${this.#pipeline.name} can't be looked at: ${error.message}`
      return [null, [{ severity: 'warning', code: error.code, message, hint: error.hint }]]
    }
  }
}

/** Throws `bad-project` where the connection does not say where Kafka Connect is. */
export async function openConnector(pipeline: CdcPipeline, connections: Connections): Promise<PipelineConnector> {
  const feed = await feedOf(pipeline, connections)
  if (feed !== null) return new PipelineConnector(pipeline, feed, connections)
  throw new LoadError('bad-project', `Connection ${pipeline.source.connection} does not say where Kafka Connect is.`, { hint: CONNECT })
}

/** What is to be known of the connector, where a pipeline names one. */
export async function checkFeed(pipeline: Pipeline, connections: Connections): Promise<readonly Finding[]> {
  if (pipeline.pattern !== 'cdc' || !pipeline.source.kafka?.connector) return []
  const feed = await feedOf(pipeline, connections)
  if (feed !== null) return new PipelineConnector(pipeline, feed, connections).check()
  const message = `Connection ${pipeline.source.connection} does not say where Kafka Connect is: whether the connector has the settings of the project file is not known.`
  return [{ severity: 'info', code: 'connector-unseen', message, hint: CONNECT }]
}

const CONNECT = 'Give the connection `connect: "http://…:8083"`.'

function feedOf({ source }: CdcPipeline, connections: Connections): Promise<ChangeFeed | null> {
  return connections.feed(source.connection, source.kafka?.connector?.from ?? null)
}
