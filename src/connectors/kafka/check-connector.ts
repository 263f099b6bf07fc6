// What a running connector loses, by its configuration and by the state of all its tasks.

import type { FeedStatus } from '../../contract/change-feed.ts'
import type { Finding } from '../../contract/finding.ts'
import type { CdcPipeline } from '../../core/pipeline.ts'
import { isProviderReference } from '../../core/secret-property.ts'
import { printTableName, type TableName } from '../../core/table.ts'
import { PLUGIN } from './connector-config.ts'
import { failureOf } from './connector-state.ts'
import { type ConnectorConfig, shownValue } from './hide-secrets.ts'
import { PROPERTY_RULES, type PropertyRule } from './unsafe-properties.ts'
import { unwrappingTransforms } from './unwrapped.ts'

/** Everything to know, errors first where rows do not arrive at all. */
export function checkConnector(pipeline: CdcPipeline, config: ConnectorConfig, status: FeedStatus): readonly Finding[] {
  if (config['connector.class'] !== PLUGIN)
    return [
      finding(
        'error',
        'connector-class',
        `Connector ${status.connector} is no ${PLUGIN}.`,
        'Name another one with `connector: { name: … }`.',
      ),
    ]
  return [
    ...states(status),
    ...whatIsRead(pipeline, config, status.connector),
    ...PROPERTY_RULES.filter((rule) => !rule.safe((config[rule.property] ?? rule.fallback).trim().toLowerCase(), config)).map((rule) =>
      unsafe(rule, config, status.connector),
    ),
    ...unwrapping(config, status.connector),
    ...converters(config, status.connector),
    ...passwordInClear(config, status.connector),
  ]
}

function finding(severity: Finding['severity'], code: string, message: string, hint: string): Finding {
  return { severity, code, message, hint }
}

function unsafe({ property, severity, code, loses, advice, hint: own }: PropertyRule, config: ConnectorConfig, connector: string): Finding {
  const value = config[property]
  const is = value === undefined ? `does not set ${property}` : `has ${property}=${shownValue(property, value)}`
  const hint =
    own ?? `${advice === 'left out' ? `Leave ${property} out` : `Set ${property}=${advice}`}; \`tidemark connector register\` does.`
  return finding(severity ?? 'warning', code, `Connector ${connector} ${is}: ${loses}.`, hint)
}

function states(status: FeedStatus): readonly Finding[] {
  const failure = failureOf(status)
  if (failure !== null) {
    const hint = 'Mend the cause, then `tidemark connector restart PIPELINE`.'
    return [finding('error', 'connector-failed', failure, hint)]
  }
  const { connector, state, tasks } = status
  if (state !== 'RUNNING')
    return [finding('warning', 'connector-rests', `Connector ${connector} is ${state}.`, '`tidemark connector resume PIPELINE` starts it.')]
  const resting = tasks.filter((task) => task.state !== 'RUNNING')
  if (tasks.length === 0 || resting.length > 0) {
    const what = tasks.length === 0 ? 'no tasks' : resting.map((task) => `task ${task.id} ${task.state}`).join(', ')
    return [finding('warning', 'connector-rests', `Connector ${connector} is RUNNING, with ${what}.`, 'Look again in a minute.')]
  }
  return []
}

/** Names of pipeline and connector beside each other. */
function whatIsRead(pipeline: CdcPipeline, config: ConnectorConfig, connector: string): readonly Finding[] {
  const { source } = pipeline
  const pairs: readonly (readonly [property: string, field: string, is: string])[] = [
    ['topic.prefix', 'topic_prefix', source.kafka?.topicPrefix ?? ''],
    ['slot.name', 'connector: { slot }', source.slot],
    ['publication.name', 'connector: { publication }', source.publication],
  ]
  const differing = pairs.filter(([property, , is]) => config[property] !== undefined && config[property] !== is)
  const left = source.tables.filter((table) => !isIncluded(table, config))
  return [
    ...differing.map(([property, field, is]) =>
      finding(
        property === 'topic.prefix' ? 'error' : 'warning',
        'connector-differs',
        `Connector ${connector} has ${property}=${config[property]}, and pipeline ${pipeline.name} says ${is}.`,
        `Correct \`${field}\`, or register the connector again.`,
      ),
    ),
    ...left.map((table) =>
      finding(
        'error',
        'connector-leaves-out',
        `Connector ${connector} does not read table ${printTableName(table)} of pipeline ${pipeline.name}.`,
        'Register it again: its table.include.list then names all tables of the pipeline. Rows that are there already come with a snapshot.',
      ),
    ),
    ...['column.include.list', 'column.exclude.list']
      .filter((property) => (config[property] ?? '') !== '')
      .map((property) =>
        finding(
          'warning',
          'connector-columns',
          `Connector ${connector} has ${property}: columns that it leaves out never arrive.`,
          `Leave ${property} out.`,
        ),
      ),
  ]
}

/** As Debezium reads its lists: regular expressions for whole names, whatever the case. */
function isIncluded({ schema, name }: TableName, config: ConnectorConfig): boolean {
  const whole = `${schema ?? 'public'}.${name}`
  const names = (property: string, text: string, unsure: boolean): boolean => {
    const list = config[property] ?? ''
    if (list === '' || isProviderReference(list)) return unsure
    return list.split(/(?<!\\),/).some((pattern) => patternOf(pattern.trim())?.test(text) ?? unsure)
  }
  const isIn = names('schema.include.list', schema ?? 'public', true) && names('table.include.list', whole, true)
  return isIn && !names('schema.exclude.list', schema ?? 'public', false) && !names('table.exclude.list', whole, false)
}

/** null for an expression that only Java can read: nothing is said of it. */
function patternOf(pattern: string): RegExp | null {
  try {
    return new RegExp(`^(?:${pattern})$`, 'i')
  } catch {
    return null
  }
}

/** What ExtractNewRecordState loses beside what it always does. */
function unwrapping(config: ConnectorConfig, connector: string): readonly Finding[] {
  return unwrappingTransforms(config).flatMap((name) => {
    const property = (own: string): string => `transforms.${name}.${own}`
    const is = (own: string, fallback: string): string => (config[property(own)] ?? fallback).trim().toLowerCase()
    const deletes = property('delete.tombstone.handling.mode')
    const nulls = property('replace.null.with.default')
    const warn = (code: string, of: string, loses: string, advice: string): Finding =>
      finding('warning', code, `Connector ${connector} has ${of}: ${loses}.`, `Set ${advice}.`)
    return [
      ...(is('delete.tombstone.handling.mode', 'tombstone') === 'drop' || is('delete.handling.mode', '') === 'drop'
        ? [warn('unwrapped-deletes', `ExtractNewRecordState drop deletes`, 'deleted rows stay in the target', `${deletes}=rewrite`)]
        : []),
      ...(is('replace.null.with.default', 'true') === 'false'
        ? []
        : [
            warn(
              'connector-null-defaults',
              `ExtractNewRecordState replace NULL`,
              'NULL becomes the DEFAULT of its column',
              `${nulls}=false`,
            ),
          ]),
    ]
  })
}

function converters(config: ConnectorConfig, connector: string): readonly Finding[] {
  return ['key.converter', 'value.converter'].flatMap((property) => {
    if (config[property] !== undefined) return []
    const settings = Object.keys(config).filter((name) => name.startsWith(`${property}.`))
    const message =
      settings.length > 0
        ? `Connector ${connector} sets ${settings.join(', ')}, which is ignored without ${property}`
        : `Connector ${connector} does not set ${property}: the form of its messages is whatever its workers have`
    return [finding('warning', 'connector-converter', `${message}.`, `Set ${property}=org.apache.kafka.connect.json.JsonConverter.`)]
  })
}

function passwordInClear(config: ConnectorConfig, connector: string): readonly Finding[] {
  const password = config['database.password'] ?? ''
  if (password === '' || isProviderReference(password)) return []
  return [
    finding(
      'warning',
      'connector-password',
      `Connector ${connector} has the password of the database in clear: Kafka Connect shows it to whoever may ask.`,
      'Set up a config provider at its workers, and name the password with `connector: { password: "$${file:…}" }`.',
    ),
  ]
}
