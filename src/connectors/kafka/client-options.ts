import { readFile } from 'node:fs/promises'
import type { ClientOptions } from './client.ts'
import type { KafkaConfig } from './config.ts'

/** As the client takes them: what the project file names by path is read here. */
export async function clientOptions({ brokers, tls, sasl }: KafkaConfig, what: string): Promise<ClientOptions> {
  const shared = { what, brokers, ...(sasl === null ? {} : { sasl }) }
  if (tls.mode === 'disable') return shared
  const file = async (path: string | null): Promise<string | undefined> =>
    path === null ? undefined : path.includes('-----BEGIN') ? path : await readFile(path, 'utf8')
  const [ca, cert, key] = await Promise.all([file(tls.ca), file(tls.cert), file(tls.key)])
  return {
    ...shared,
    tls: {
      minVersion: 'TLSv1.2',
      rejectUnauthorized: tls.mode === 'verify-full',
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...(tls.serverName === null ? {} : { servername: tls.serverName }),
    },
  }
}
