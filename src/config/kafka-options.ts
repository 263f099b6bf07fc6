import * as z from 'zod/mini'
import type { OptionsReview } from './connection-options.ts'
import { parseDuration } from './duration.ts'
import { duration, fields, oneOf, secretTextThat, text, textThat } from './field.ts'
import { withoutReferences } from './reference.ts'
import { reviewTls, tlsOption } from './tls-option.ts'

const MECHANISMS = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const
const TLS_MODES = ['disable', 'require', 'verify-full'] as const
const TLS_MODE = 'verify-full checks certificate and host name, require encrypts without any check.'

/** Brokers of Kafka, and the Kafka Connect beside them. */
export const kafkaOptions = fields(
  {
    type: z.literal('kafka').check(z.describe('Topics of Kafka that Debezium fills.')),
    brokers: z
      .array(textThat(isBroker, 'is no broker; write it as host:port', 'A broker, as host:port.'), {
        error: 'expected a list, such as ["localhost:9092"]',
      })
      .check(z.minLength(1), z.describe('Some of the brokers, as host:port; they name the others.')),
    connect: z.optional(
      secretTextThat(
        isConnectUrl,
        'is not a URL like http://connect:8083',
        'Where Kafka Connect answers, such as http://connect:8083. Give user and password in it as ${env:…}, never literally.',
      ),
    ),
    registry: z.optional(
      fields(
        {
          url: secretTextThat(isRegistryUrl, 'is not a URL like http://registry:8081', 'Where it answers, such as http://registry:8081.'),
          user: z.optional(text('Whom to log in as.')),
          password: z.optional(text('Password: ${env:NAME} or ${file:PATH}, never literally.')),
        },
        "The registry, Confluent's or one that answers as it does, that has the schemas of messages in Avro. Default: messages are JSON.",
      ),
    ),
    connect_timeout: z.optional(
      duration('How long to wait for an answer of a broker, of Kafka Connect, or of the registry. Default: 10s.'),
    ),
    tls: tlsOption(TLS_MODES, TLS_MODE, 'the brokers', 'connections to the brokers are'),
    sasl: z.optional(
      fields(
        {
          mechanism: oneOf(MECHANISMS, 'How the brokers ask who it is.'),
          username: text('Whom to log in as.'),
          password: text('Password: ${env:NAME} or ${file:PATH}, never literally.'),
        },
        'How to log in to the brokers. Default: not at all.',
      ),
    ),
  },
  'Topics of Kafka that Debezium fills.',
)

function isBroker(value: string): boolean {
  const port = /^(?:\[[0-9A-Fa-f:.]+\]|[^\s:/@,]+):(\d{1,5})$/.exec(value)?.[1]
  return port !== undefined && Number(port) >= 1 && Number(port) <= 65_535
}

function isConnectUrl(value: string): boolean {
  if (!/^https?:\/\//.test(value)) return false
  try {
    const { search, hash, username, password } = new URL(value)
    decodeURIComponent(username + password)
    return search === '' && hash === ''
  } catch {
    return false
  }
}

/** Errors show it: what is secret stands beside it. */
function isRegistryUrl(value: string): boolean {
  return isConnectUrl(value) && new URL(value).username === '' && new URL(value).password === ''
}

/** Seconds as a number, absolute paths; secrets that stand in the file itself are found. */
export const reviewKafka: OptionsReview = (raw, report, context) => {
  const { written, literal } = context
  const options: Record<string, unknown> = { ...raw }
  const connect = written(['connect'])
  if (connect !== null && /^[^/]*:\/\/[^/@]*:[^@]+@/.test(withoutReferences(connect))) literal(['connect'])
  for (const part of ['sasl', 'registry']) {
    const password = written([part, 'password'])
    if (password !== null && withoutReferences(password) !== '') literal([part, 'password'])
  }
  const { user, password } = (raw['registry'] ?? {}) as Record<string, unknown>
  if ((user === undefined) !== (password === undefined)) report(['registry'], 'needs user and password together', 'key')
  if (typeof options['connect_timeout'] === 'string') options['connect_timeout'] = parseDuration(options['connect_timeout'])
  if (raw['tls'] !== undefined) options['tls'] = reviewTls(raw['tls'], report, context)
  return options
}
