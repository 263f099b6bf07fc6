// Settings of a broker and of a Connect worker that are small, start soon and are alone.

import { randomBytes } from 'node:crypto'

export interface KafkaPorts {
  readonly broker: number
  readonly controller: number
}

export type Settings = Readonly<Record<string, string | number | boolean>>

export function printSettings(settings: Settings): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name}=${String(value).replaceAll('\n', '\\n')}\n`)
    .join('')
}

/** One node, which is broker and controller. */
export function brokerSettings(data: string, { broker, controller }: KafkaPorts): Settings {
  return {
    'process.roles': 'broker,controller',
    'node.id': 1,
    'controller.quorum.voters': `1@127.0.0.1:${controller}`,
    listeners: `PLAINTEXT://127.0.0.1:${broker},CONTROLLER://127.0.0.1:${controller}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${broker}`,
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'PLAINTEXT',
    'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT',
    'log.dirs': data,
    'auto.create.topics.enable': false,
    ...Object.fromEntries(['offsets.topic', 'transaction.state.log', 'share.coordinator.state.topic'].flatMap(single)),
    'transaction.state.log.min.isr': 1,
    'share.coordinator.state.topic.min.isr': 1,
    'group.initial.rebalance.delay.ms': 0,
    'num.network.threads': 2,
    'num.io.threads': 2,
    'log.cleaner.dedupe.buffer.size': 16 << 20,
    // Retention and compaction are looked at soon, for tests that wait for them.
    'log.initial.task.delay.ms': 500,
    'log.retention.check.interval.ms': 500,
    'log.cleaner.backoff.ms': 200,
    'log.segment.delete.delay.ms': 100,
    // After a kill the controller refuses the same broker until its session is over; the default is 9 s.
    'broker.session.timeout.ms': 4000,
    'broker.heartbeat.interval.ms': 500,
  }
}

function single(topic: string): [string, number][] {
  return [
    [`${topic}.replication.factor`, 1],
    [`${topic}.num.partitions`, 1],
  ]
}

export interface ConnectOptions {
  readonly broker: number
  readonly port: number
  /** Folders, parted by commas. */
  readonly plugins: string
  readonly exactlyOnce: boolean
}

/** JSON without schemas; connectors set converters of their own where they need others. */
export function connectSettings({ broker, port, plugins, exactlyOnce }: ConnectOptions): Settings {
  const topics = ['config', 'offset', 'status'].flatMap((name): [string, string | number][] => [
    [`${name}.storage.topic`, `connect-${name}`],
    [`${name}.storage.replication.factor`, 1],
  ])
  const converters = ['key', 'value'].flatMap((name): [string, string | boolean][] => [
    [`${name}.converter`, 'org.apache.kafka.connect.json.JsonConverter'],
    [`${name}.converter.schemas.enable`, false],
    [`${name}.converter.replace.null.with.default`, false],
  ])
  return {
    'bootstrap.servers': `127.0.0.1:${broker}`,
    'group.id': 'connect',
    ...Object.fromEntries([...topics, ...converters]),
    'offset.storage.partitions': 1,
    'status.storage.partitions': 1,
    'offset.flush.interval.ms': 1000,
    'exactly.once.source.support': exactlyOnce ? 'enabled' : 'disabled',
    listeners: `http://127.0.0.1:${port}`,
    'rest.advertised.host.name': '127.0.0.1',
    'rest.advertised.port': port,
    'plugin.path': plugins,
    'plugin.discovery': 'service_load',
    'scheduled.rebalance.max.delay.ms': 0,
    'connector.client.config.override.policy': 'All',
  }
}

/** The dumps of all settings at every start are thousands of lines. */
export function loggingSettings(): string {
  return printSettings({
    'appender.out.type': 'Console',
    'appender.out.name': 'out',
    'appender.out.layout.type': 'PatternLayout',
    'appender.out.layout.pattern': '%d %p %m (%c{1})%n',
    'rootLogger.level': 'INFO',
    'rootLogger.appenderRef.out.ref': 'out',
    'logger.settings.name': 'org.apache.kafka.common.config.AbstractConfig',
    'logger.settings.level': 'WARN',
  })
}

/** A random UUID as Kafka writes it. One that begins with a dash would be read as an option. */
export function clusterId(): string {
  return `T${randomBytes(16).toString('base64url').slice(1)}`
}

/** What tells a cluster and its node apart from others; without it, the file is the same for all. */
export function metaProperties(): string {
  return printSettings({ version: 1, 'cluster.id': clusterId(), 'node.id': 1, 'directory.id': clusterId() })
}
