import { AclOperations, AclPermissionTypes, Admin, ResourcePatternTypes, ResourceTypes } from '@platformatic/kafka'
import { expect, test } from 'vitest'
import { type ClientOptions, KafkaClient } from '../../src/connectors/kafka/client.ts'
import { TopicReader } from '../../src/connectors/kafka/topic-reader.ts'
import { startKafka } from '../../src/testing/kafka-stack.ts'
import { tlsMaterial } from '../servers/tls-material.ts'
import { all } from './kafka-topics.ts'

const PLAIN = 'org.apache.kafka.common.security.plain.PlainLoginModule required'
const USERS = 'username="admin" password="admin-secret" user_admin="admin-secret" user_reader="reader-secret"'

/** What is asked for first, with these options. */
async function ask(options: Omit<ClientOptions, 'what'>): Promise<string> {
  const client = await KafkaClient.open({ what: 'source shop', ...options })
  try {
    return await client.clusterId()
  } finally {
    await client.close()
  }
}

test('a user needs the password, and the privilege for each topic', async () => {
  await using kafka = await startKafka({
    settings: {
      'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:SASL_PLAINTEXT',
      'sasl.enabled.mechanisms': 'PLAIN',
      'sasl.mechanism.inter.broker.protocol': 'PLAIN',
      'listener.name.plaintext.plain.sasl.jaas.config': `${PLAIN} ${USERS};`,
      'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
      'super.users': 'User:admin;User:ANONYMOUS',
    },
  })
  const { brokers } = kafka
  const as = (username: string, password: string) => ({ brokers, sasl: { mechanism: 'PLAIN', username, password } }) as const
  expect(await ask(as('admin', 'admin-secret'))).toMatch(/^T/)
  const wrong = ask(as('reader', 'wrong-secret'))
  await expect(wrong).rejects.toMatchObject({ code: 'authentication-failed', message: expect.not.stringContaining('wrong-secret') })
  await expect(ask({ brokers })).rejects.toMatchObject({ code: 'unreachable', hint: expect.stringContaining('sasl') })

  const admin = new Admin({ clientId: 'test', bootstrapBrokers: [...brokers], ...as('admin', 'admin-secret') })
  await admin.createTopics({ topics: ['orders'], partitions: 1, replicas: 1 })
  const allow = (operation: number) =>
    admin.createAcls({
      creations: [
        {
          resourceType: ResourceTypes.TOPIC,
          resourceName: 'orders',
          resourcePatternType: ResourcePatternTypes.LITERAL,
          principal: 'User:reader',
          host: '*',
          operation,
          permissionType: AclPermissionTypes.ALLOW,
        },
      ],
    } as never)
  const client = await KafkaClient.open({ what: 'source shop', ...as('reader', 'reader-secret') })
  const refused = { code: 'missing-privilege', hint: expect.stringContaining('Describe and Read') }
  await expect(client.topics(['orders'])).rejects.toMatchObject(refused)
  await allow(AclOperations.DESCRIBE)
  await expect.poll(() => client.topics(['orders']).then(({ size }) => size, String), { timeout: 10_000 }).toBe(1)
  const topic = (await client.topics(['orders'])).get('orders')
  const assigned = topic === undefined ? [] : all(topic)
  await expect(new TopicReader(client, assigned).next(5_000)).rejects.toMatchObject(refused)
  await allow(AclOperations.READ)
  await expect.poll(() => new TopicReader(client, assigned).next(600).then(String, String), { timeout: 10_000 }).toBe('')
  await Promise.all([client.close(), admin.close()])
})

test('TLS: the right certificate is accepted, one of another authority or for another host refused', async () => {
  const material = tlsMaterial()
  const attempt = async ({ cert, key }: { cert: string; key: string }, ca: string) => {
    await using kafka = await startKafka({
      settings: {
        'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:SSL',
        'ssl.keystore.type': 'PEM',
        'ssl.keystore.certificate.chain': cert,
        'ssl.keystore.key': key,
        'ssl.truststore.type': 'PEM',
        'ssl.truststore.certificates': material.ca,
        'ssl.endpoint.identification.algorithm': '',
      },
    })
    const withTls = await ask({ brokers: kafka.brokers, tls: { ca, rejectUnauthorized: true } }).catch(({ code }) => code)
    return [withTls, await ask({ brokers: kafka.brokers }).catch(({ code }) => code)]
  }
  expect(await attempt(material.valid, material.ca)).toEqual([expect.stringMatching(/^T/), 'tls-failed'])
  expect((await attempt(material.valid, material.otherCa))[0]).toBe('tls-failed')
  expect((await attempt(material.wrongHost, material.ca))[0]).toBe('tls-failed')
})
