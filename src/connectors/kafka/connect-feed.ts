// The connectors of one Kafka Connect, as pipelines need them.

import type {
  ChangeFeed,
  FeedPreview,
  FeedRemoved,
  FeedSlot,
  FeedStatus,
  PropertyChange,
  ServerAddress,
} from '../../contract/change-feed.ts'
import type { Finding } from '../../contract/finding.ts'
import { LoadError } from '../../core/errors.ts'
import type { CdcPipeline, DebeziumConnector } from '../../core/pipeline.ts'
import { checkConnector } from './check-connector.ts'
import type { ConnectApi } from './connect-api.ts'
import { connectorConfig, PLUGIN } from './connector-config.ts'
import { failureOf, type Goal, missing, PACE, type Pace, pathOf, readStatus, runningConfig, waitFor } from './connector-state.ts'
import { type ConnectorConfig, shownValue, withoutSecrets } from './hide-secrets.ts'
import { compareWithSlot } from './stored-position.ts'
import { messageOf, refused, unknownProperties, validate } from './validate.ts'

export class ConnectFeed implements ChangeFeed {
  readonly #api: ConnectApi
  readonly #from: ServerAddress | null
  readonly #pace: Pace

  /** `from`: whose log connectors read; its password is shown nowhere, whoever tells it to Connect. */
  constructor(api: ConnectApi, from: ServerAddress | null, pace: Pace = PACE) {
    this.#api = api
    this.#from = from
    this.#pace = pace
  }

  async preview(pipeline: CdcPipeline): Promise<FeedPreview> {
    const connector = connectorOf(pipeline)
    const asked = connectorConfig(pipeline, connector, this.#database(pipeline))
    const runs = await runningConfig(this.#api, connector.name)
    const known = await validate(this.#api, PLUGIN, asked, this.#secrets(asked, runs ?? {}))
    return {
      connector: connector.name,
      exists: runs !== null,
      changes: changesOf(runs ?? {}, asked, known.secret),
      unknown: unknownProperties(connector.properties, known.names),
    }
  }

  async register(pipeline: CdcPipeline): Promise<FeedStatus> {
    const connector = connectorOf(pipeline)
    const { name } = connector
    const asked = connectorConfig(pipeline, connector, this.#database(pipeline))
    const runs = await runningConfig(this.#api, name)
    const configs = this.#secrets(asked, runs ?? {})
    await validate(this.#api, PLUGIN, asked, configs)
    const before = runs === null ? null : await readStatus(this.#api, name, configs)
    if (runs === null || changesOf(runs, asked, new Set()).length > 0) {
      const { status, body } = await this.#api.request('PUT', pathOf(name, '/config'), asked)
      if (status >= 400) throw refused(this.#api, asked, [messageOf(body)], configs)
    }
    // A stopped or paused one stays so, and a failed task is not tried again where nothing has changed for it.
    if (before?.state === 'STOPPED' || before?.state === 'PAUSED') await this.#order('PUT', name, '/resume')
    if (before !== null && failureOf(before) !== null) await this.#order('POST', name, '/restart?includeTasks=true&onlyFailed=true')
    return waitFor(this.#api, name, 'RUNNING', { configs, pace: this.#pace, asked })
  }

  async status(pipeline: CdcPipeline): Promise<FeedStatus> {
    const { name } = connectorOf(pipeline)
    return readStatus(this.#api, name, this.#secrets(await this.#config(name)))
  }

  pause(pipeline: CdcPipeline): Promise<FeedStatus> {
    return this.#turn(pipeline, 'PUT', '/pause', 'PAUSED')
  }

  resume(pipeline: CdcPipeline): Promise<FeedStatus> {
    return this.#turn(pipeline, 'PUT', '/resume', 'RUNNING')
  }

  restart(pipeline: CdcPipeline): Promise<FeedStatus> {
    return this.#turn(pipeline, 'POST', '/restart?includeTasks=true&onlyFailed=false', 'RUNNING')
  }

  async remove(pipeline: CdcPipeline): Promise<FeedRemoved> {
    const { name } = connectorOf(pipeline)
    const config = await this.#config(name)
    const configs = this.#secrets(config)
    await this.#order('PUT', name, '/stop')
    await this.#until(name, 'STOPPED', configs)
    // Kept, they would be those of the next connector of this name, which would then begin in the middle.
    await this.#order('DELETE', name, '/offsets')
    await this.#order('DELETE', name, '')
    const slot = config['slot.name'] ?? pipeline.source.slot
    const publication = config['publication.name'] ?? pipeline.source.publication
    return {
      removed: [`connector ${name}`, `stored offsets of ${name}`],
      left: [
        { what: `slot ${slot}`, statement: `SELECT pg_drop_replication_slot('${slot.replaceAll("'", "''")}');` },
        { what: `publication ${publication}`, statement: `DROP PUBLICATION "${publication.replaceAll('"', '""')}";` },
      ],
    }
  }

  async check(pipeline: CdcPipeline, slot: FeedSlot | null): Promise<readonly Finding[]> {
    const { name } = connectorOf(pipeline)
    const config = await this.#config(name)
    const status = await readStatus(this.#api, name, this.#secrets(config))
    return [
      ...checkConnector(pipeline, config, status),
      ...(slot === null ? [] : compareWithSlot(name, config['slot.name'] ?? pipeline.source.slot, status.stored, slot)),
    ]
  }

  #database(pipeline: CdcPipeline): ServerAddress {
    if (this.#from !== null) return this.#from
    throw new LoadError('bad-usage', `Pipeline ${pipeline.name} does not say whose log its connector reads.`, {
      hint: 'Name the connection of the database with `connector: { from: … }`.',
    })
  }

  /** Configurations whose secrets Connect may quote; a config provider of its own may have told it the password. */
  #secrets(...configs: readonly ConnectorConfig[]): readonly ConnectorConfig[] {
    const password = this.#from?.password ?? null
    return password === null ? configs : [...configs, { 'database.password': password }]
  }

  async #config(connector: string): Promise<ConnectorConfig> {
    const config = await runningConfig(this.#api, connector)
    if (config === null) throw missing(this.#api, connector)
    return config
  }

  async #turn(pipeline: CdcPipeline, method: 'PUT' | 'POST', path: string, goal: Goal): Promise<FeedStatus> {
    const { name } = connectorOf(pipeline)
    const configs = this.#secrets(await this.#config(name))
    await this.#order(method, name, path)
    return this.#until(name, goal, configs)
  }

  async #order(method: 'PUT' | 'POST' | 'DELETE', connector: string, path: string): Promise<void> {
    const { status, body } = await this.#api.request(method, pathOf(connector, path))
    if (status < 400) return
    // A version without such a page says the same as one without such a connector.
    const config = await runningConfig(this.#api, connector)
    if (config === null) throw missing(this.#api, connector)
    const why = withoutSecrets(messageOf(body), this.#secrets(config))
    throw new LoadError('unsupported-server', `Kafka Connect at ${this.#api.shown} refuses ${method} ${pathOf(connector, path)}: ${why}.`, {
      hint: 'Use Kafka 3.6 or newer.',
    })
  }

  #until(connector: string, goal: Goal, configs: readonly ConnectorConfig[]): Promise<FeedStatus> {
    return waitFor(this.#api, connector, goal, { configs, pace: this.#pace })
  }
}

function connectorOf(pipeline: CdcPipeline): DebeziumConnector {
  const connector = pipeline.source.kafka?.connector ?? null
  if (connector !== null) return connector
  throw new LoadError('bad-usage', `Pipeline ${pipeline.name} names no connector.`, {
    hint: 'Name it with `source: { connector: { name: … } }`.',
  })
}

/** By name; what stays the same is left out. */
function changesOf(runs: ConnectorConfig, asked: ConnectorConfig, secret: ReadonlySet<string>): readonly PropertyChange[] {
  const names = [...new Set([...Object.keys(runs), ...Object.keys(asked)])].sort()
  const shown = (config: ConnectorConfig, property: string): string | null =>
    config[property] === undefined ? null : shownValue(property, config[property], secret)
  return names
    .filter((property) => runs[property] !== asked[property])
    .map((property) => ({ property, was: shown(runs, property), becomes: shown(asked, property) }))
}
