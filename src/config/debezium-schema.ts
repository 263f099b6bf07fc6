// The fields of a pipeline with `pattern: cdc` whose source is a kafka connection: a connector of Debezium's reads the log, and the
// pipeline its topics.

import * as z from 'zod/mini'
import { parseDeclaredType } from '../core/declared-type.ts'
import { cdcSchema } from './cdc-schema.ts'
import { fields, oneOf, text, textThat } from './field.ts'
import { loggedTables, publicationField, slotField, tableField } from './log-fields.ts'

const connector = fields(
  {
    name: textThat(
      (value) => /^[^/\s\p{Cc}]+$/u.test(value),
      'is no name of a connector: it can hold no spaces and no /',
      'What Kafka Connect calls the connector.',
    ),
    from: z.optional(text('Name of the postgres connection whose log the connector reads. Default: somebody else registers it.')),
    slot: slotField,
    publication: publicationField,
    password: z.optional(
      text(
        'What Kafka Connect is told in place of the password of `from`: a reference to one of its config providers, such as $${file:/opt/secrets.properties:password}. Default: the password itself.',
      ),
    ),
    heartbeat_table: z.optional(
      tableField(
        'A table (id integer PRIMARY KEY, ts timestamptz) at the source, which the connector writes now and then, so that its slot moves on while all others rest.',
      ),
    ),
    properties: z.optional(
      z
        .record(
          text("A property's name."),
          z.union([z.string(), z.number(), z.boolean()], { error: 'expected text, a number, or true or false' }),
          { error: 'expected a map of properties' },
        )
        .check(z.describe("More properties, by Debezium's own names; they win over those that tidemark sets.")),
    ),
  },
  "Debezium's connector, as `tidemark connector register` sets it up.",
)

const declared = fields(
  {
    columns: z.optional(
      z
        .record(
          text("A column's name."),
          textThat(
            (value) => parseDeclaredType(value) !== null,
            'is no type that is known here; write it as PostgreSQL does, such as bigint, numeric(12,2) or timestamptz, and text for what is none of them',
            'Its type, as PostgreSQL writes it: bigint, numeric(12,2), text[].',
          ),
          { error: 'expected a map of columns and their types' },
        )
        .check(z.describe('All columns that messages bring, with the types that the source has them in. Needs key.')),
    ),
    key: z.optional(
      z
        .array(text('A column.'), { error: 'expected a list, such as [id]' })
        .check(z.minLength(1), z.describe('The columns that identify a row.')),
    ),
    replica_identity: z.optional(
      oneOf(
        ['default', 'full'],
        "The table's REPLICA IDENTITY at the source. Needed as full only where two rows may exchange their keys. Default: default.",
      ),
    ),
  },
  'What a table is, where neither a database nor its messages say it.',
)

const source = fields(
  {
    connection: text('Name of the kafka connection.'),
    topic_prefix: textThat(
      (value) => /^[A-Za-z0-9._-]{1,200}$/.test(value),
      'is no prefix of topics: letters, digits and . _ -',
      "The connector's topic.prefix: changes of public.orders are in the topic PREFIX.public.orders.",
    ),
    tables: loggedTables,
    connector: z.optional(connector),
    form: z.optional(
      oneOf(
        ['envelope', 'unwrapped'],
        "What messages are: Debezium's whole event, or the bare row that its ExtractNewRecordState leaves. Default: what they show.",
      ),
    ),
    declare: z.optional(
      z
        .record(text('A table of the list, as it stands there.'), declared, { error: 'expected a map of tables' })
        .check(
          z.describe(
            'Columns and keys of tables. Default: those of the database that connector.from names, of the schema in the messages, or of the table in the target.',
          ),
        ),
    ),
    consistency: z.optional(
      oneOf(
        ['key', 'transaction'] as const,
        "key: the changes of each row in order; transaction: the source's transactions whole and in their order, which the connector must tell of (provide.transaction.metadata). Default: key.",
      ),
    ),
  },
  'Whose changes are followed, and in which topics they are.',
)

const { workers: _, ...shared } = cdcSchema.shape

/** A pipeline that reads the topics of a connector of Debezium's. */
export const debeziumSchema = fields({ ...shared, source }, 'Follows the log of a database that Debezium reads.')
