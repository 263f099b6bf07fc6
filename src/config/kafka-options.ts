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
    connect_timeout: z.optional(duration('How long to wait for an answer of a broker, or of Kafka Connect. Default: 10s.')),
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

/** Seconds as a number, absolute paths; secrets that stand in the file itself are found. */
export const reviewKafka: OptionsReview = (raw, report, context) => {
  const { written, literal } = context
  const options: Record<string, unknown> = { ...raw }
  const connect = written(['connect'])
  if (connect !== null && /^[^/]*:\/\/[^/@]*:[^@]+@/.test(withoutReferences(connect))) literal(['connect'])
  const password = written(['sasl', 'password'])
  if (password !== null && withoutReferences(password) !== '') literal(['sasl', 'password'])
  if (typeof options['connect_timeout'] === 'string') options['connect_timeout'] = parseDuration(options['connect_timeout'])
  if (raw['tls'] !== undefined) options['tls'] = reviewTls(raw['tls'], report, context)
  return options
}
