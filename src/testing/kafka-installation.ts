// Finds the Kafka that tests start: what `scripts/install-kafka.ts` has put into the user's cache folder, for exactly the versions that
// `toolchain/kafka/pom.xml` names. Nothing is downloaded here.

import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

export interface KafkaInstallation {
  readonly java: string
  /** Jars of broker and Connect. */
  readonly libs: string
  /** Connectors for Connect. */
  readonly plugins: string
  /** The folder of a broker that has never run, to be copied. */
  readonly formatted: string
}

export const KAFKA_POM = join(import.meta.dirname, '..', '..', 'toolchain', 'kafka', 'pom.xml')

/** Other versions have another folder: nothing that is there is ever changed. */
export function kafkaHome(): string {
  return cacheFolder('kafka')
}

/** Where Debezium's JDBC sink connector is, in a folder of plugins; only `npm run bench` puts it there. */
export function jdbcConnectorHome(): string {
  return cacheFolder('jdbc-sink')
}

function cacheFolder(name: string): string {
  const versions = createHash('sha256').update(readFileSync(KAFKA_POM)).digest('hex').slice(0, 12)
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'tidemark', `${name}-${versions}`)
}

/** Throws an Error that says how to install it. */
export function findKafka(): KafkaInstallation {
  const home = kafkaHome()
  if (!existsSync(home)) throw new Error(`No Kafka on this machine: there is no ${home}. Install it with \`npm run install-kafka\`.`)
  return { java: findJava(), libs: join(home, 'libs'), plugins: join(home, 'plugins'), formatted: join(home, 'formatted') }
}

export function findJava(): string {
  const { JAVA_HOME } = process.env
  return JAVA_HOME ? join(JAVA_HOME, 'bin', 'java') : 'java'
}
