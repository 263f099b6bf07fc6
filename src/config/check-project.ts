// Plain values → a checked project, or one error that names everything wrong with them.

import * as z from 'zod/mini'
import type { Pipeline } from '../core/pipeline.ts'
import { isProviderReference, isSecretProperty } from '../core/secret-property.ts'
import { buildCdc, checkCdcRules } from './build-cdc.ts'
import { buildDebezium, checkDebeziumRules } from './build-debezium.ts'
import { buildPartition } from './build-partition.ts'
import { buildStreams, checkStreamRules } from './build-streams.ts'
import { buildWatermark } from './build-watermark.ts'
import type { OptionReport } from './connection-options.ts'
import { debeziumSchema } from './debezium-schema.ts'
import { isWildcard } from './expand-wildcard.ts'
import { explainIssues, unknownWord } from './explain-issue.ts'
import { fields } from './field.ts'
import { type Origin, type Path, quoted } from './origin.ts'
import { checkPartitionRules } from './partition-rules.ts'
import type { Problems } from './problems.ts'
import type { ConnectionConfig, Project, ProjectPipeline } from './project.ts'
import { CONNECTION_TYPES, defaultsSchema, isProjectName, PATTERNS } from './project-schema.ts'
import { withoutReferences } from './reference.ts'
import { eachSharedTarget } from './shared-target.ts'
import { streamSchema } from './stream-schema.ts'
import { type RuleContext, typeOf } from './table-rules.ts'
import { checkWatermarkRules } from './watermark-rules.ts'

type Fields = Record<string, unknown>

/** The values of a project and where they were written. */
export interface Draft {
  readonly value: unknown
  readonly origin: Origin
  readonly problems: Problems
  /** Absolute path of the project file. */
  readonly file: string
  readonly directory: string
}

interface Check extends Draft {
  readonly connections: Record<string, ConnectionConfig>
  readonly connectionNames: readonly string[]
  readonly defaults: Fields
  readonly literalSecrets: string[]
}

const TYPE_NAMES = Object.keys(CONNECTION_TYPES)
const PATTERN_NAMES = Object.keys(PATTERNS)
const anyMap = z.record(z.string(), z.unknown())
const outline = fields({ connections: anyMap, defaults: z.optional(anyMap), pipelines: anyMap }, 'A tidemark project.')

/** Throws `bad-project` with a line for everything that is wrong, or `shared-target` where only that is. */
export function checkProject(draft: Draft): Project {
  const { origin, problems } = draft
  validate(outline, draft.value, draft, (path) => path)
  const top = asMap(draft.value)
  const written = asMap(top['connections'])
  const check: Check = {
    ...draft,
    connections: Object.create(null),
    connectionNames: Object.keys(written),
    defaults: asMap(top['defaults']),
    literalSecrets: [],
  }
  for (const [name, raw] of Object.entries(written)) checkConnection(name, raw, check)
  if (isMap(top['defaults'])) checkDefaults(check)
  const entries = Object.entries(asMap(top['pipelines']))
  const pipelines = entries.map(([name, raw]) => checkPipeline(name, raw, check)).filter((pipeline) => pipeline !== null)
  const tables = pipelines.filter((pipeline): pipeline is Pipeline => !isWildcard(pipeline))
  eachSharedTarget(tables, check.connections, (later, earlier) => {
    const other = quoted(earlier.name)
    const at = origin.place(['pipelines', earlier.name], 'key')
    problems.add(['pipelines', later.name], `writes the same table as pipeline ${other} (${at})`, 'key', 'shared-target')
  })
  problems.throwAll(origin)
  const place = placeFinder(origin, asMap(top['pipelines']), check.defaults)
  const { connections, literalSecrets } = check
  return { file: draft.file, directory: draft.directory, connections, pipelines, literalSecrets, place }
}

function checkConnection(name: string, raw: unknown, check: Check): void {
  const { origin, problems } = check
  const locate = (path: Path): Path => ['connections', name, ...path]
  checkName(name, 'connection', locate([]), problems)
  const report: OptionReport = (path, message, of) => problems.add(locate(path), message, of)
  const type = isMap(raw) ? raw['type'] : undefined
  if (!isMap(raw)) report([], 'expected a map with a type, such as { type: postgres, url: … }')
  else if (typeof type !== 'string') report(['type'], `${type === undefined ? 'missing; ' : ''}expected one of ${TYPE_NAMES.join(', ')}`)
  else if (!isTypeName(type)) report(['type'], unknownType(locate(['type']), type, origin))
  else checkOptions(name, type, raw, check)
}

function checkOptions(name: string, type: keyof typeof CONNECTION_TYPES, raw: Fields, check: Check): void {
  const { origin, problems, directory } = check
  const locate = (path: Path): Path => ['connections', name, ...path]
  const report: OptionReport = (path, message, of) => problems.add(locate(path), message, of)
  const { schema, review } = CONNECTION_TYPES[type]
  validate(schema, raw, check, locate)
  const all = review(raw, report, {
    directory,
    written: (path) => origin.written(locate(path)),
    literal: (path) => check.literalSecrets.push(origin.place(locate(path), 'value')),
  })
  const { type: _, ...options } = all
  check.connections[name] = { name, type, options, at: origin.place(locate([]), 'key') }
}

function checkDefaults(check: Check): void {
  const { pattern } = check.defaults
  if (typeof pattern === 'string' && !Object.hasOwn(PATTERNS, pattern)) {
    check.problems.unusable(['defaults', 'pattern'], unknownPattern(['defaults', 'pattern'], pattern, check.origin))
  }
  // Single fields only: `target` may lack what each pipeline adds, but then it is no whole target, and each of them says so.
  // What is wrong here is told here, and not again for each pipeline.
  const add: Problems['add'] = (path, message, of) => check.problems.unusable(path, message, of)
  validate(defaultsSchema, check.defaults, { origin: check.origin, problems: { add } }, (path) => ['defaults', ...path])
}

function checkPipeline(name: string, raw: unknown, check: Check): ProjectPipeline | null {
  const { origin, problems } = check
  const here: Path = ['pipelines', name]
  checkName(name, 'pipeline', here, problems)
  if (!isMap(raw)) {
    problems.add(here, 'expected a map with pattern, source and target')
    return null
  }
  const inherits = (key: unknown): boolean => !Object.hasOwn(raw, String(key)) && Object.hasOwn(check.defaults, String(key))
  const locate = (path: Path): Path => (path.length > 0 && inherits(path[0]) ? ['defaults', ...path] : [...here, ...path])
  const pattern = inherits('pattern') ? check.defaults['pattern'] : raw['pattern']
  if (typeof pattern !== 'string') {
    problems.add(
      locate(['pattern']),
      `${pattern === undefined ? 'missing; ' : ''}expected one of ${PATTERN_NAMES.join(', ')}`,
      pattern === undefined ? 'key' : 'value',
    )
    return null
  }
  if (!isPattern(pattern)) {
    problems.add(locate(['pattern']), unknownPattern(locate(['pattern']), pattern, origin))
    return null
  }
  const schema = PATTERNS[pattern]
  const given = Object.fromEntries(Object.entries(check.defaults).filter(([key]) => Object.hasOwn(schema.shape, key)))
  const merged: Fields = { ...given, ...raw }
  const before = problems.count
  const context: RuleContext = {
    origin,
    connections: check.connections,
    connectionNames: check.connectionNames,
    report: (path, message, of) => problems.add(locate(path), message, of),
    locate,
  }
  if (pattern === 'watermark') {
    const parsed = validate(PATTERNS.watermark, merged, check, locate)
    checkWatermarkRules(merged, context)
    return parsed === null || problems.count > before ? null : buildWatermark(name, parsed, origin.written(locate(['start'])))
  }
  if (pattern === 'cdc') {
    return checkChanges(name, merged, check, context)
  }
  const parsed = validate(PATTERNS.partition, merged, check, locate)
  checkPartitionRules(merged, context)
  return parsed === null || problems.count > before ? null : buildPartition(name, parsed)
}

/** Which form of source is meant, its connection says. */
function checkChanges(name: string, merged: Fields, check: Check, context: RuleContext): ProjectPipeline | null {
  const { problems } = check
  const source = asMap(merged['source'])
  const before = problems.count
  const type = typeOf(String(source['connection']), context)
  if (type === 'snowflake') {
    const parsed = validate(streamSchema, merged, check, context.locate)
    checkStreamRules(merged, context)
    return parsed === null || problems.count > before ? null : buildStreams(name, parsed)
  }
  if (type !== 'kafka') {
    const parsed = validate(PATTERNS.cdc, merged, check, context.locate)
    checkCdcRules(merged, context)
    return parsed === null || problems.count > before ? null : buildCdc(name, parsed)
  }
  const parsed = validate(debeziumSchema, merged, check, context.locate)
  checkDebeziumRules(merged, context)
  for (const [property, value] of Object.entries(asMap(asMap(source['connector'])['properties']))) {
    if (!isSecretProperty(property) || isProviderReference(String(value))) continue
    const path = context.locate(['source', 'connector', 'properties', property])
    if (withoutReferences(check.origin.written(path) ?? '') !== '') check.literalSecrets.push(check.origin.place(path, 'value'))
  }
  return parsed === null || problems.count > before ? null : buildDebezium(name, parsed)
}

function validate<S extends z.core.$ZodType>(
  schema: S,
  value: unknown,
  { origin, problems }: { readonly origin: Origin; readonly problems: Pick<Problems, 'add'> },
  locate: (path: Path) => Path,
): z.output<S> | null {
  // Without jitless zod would compile code at run time, for schemas that are used once.
  const result = z.safeParse(schema, value, { jitless: true })
  if (result.success) return result.data
  explainIssues(result.error.issues, { origin, problems, value, locate })
  return null
}

function unknownType(path: Path, type: string, origin: Origin): string {
  return unknownWord('type', path, type, TYPE_NAMES, origin)
}

function unknownPattern(path: Path, pattern: string, origin: Origin): string {
  return unknownWord('pattern', path, pattern, PATTERN_NAMES, origin)
}

function checkName(name: string, what: string, path: Path, problems: Problems): void {
  if (!isProjectName(name)) problems.add(path, `not a ${what} name; allowed: 1 to 100 letters (a–z), digits and _ - . /`, 'key')
}

// A pipeline made by a wildcard is called `template/table`.
function placeFinder(origin: Origin, pipelines: Fields, defaults: Fields): Project['place'] {
  return ([top, name, ...rest]) => {
    if (top !== 'pipelines' || typeof name !== 'string')
      return origin.place(
        [top, name, ...rest].filter((part) => part !== undefined),
        'value',
      )
    const owner = Object.hasOwn(pipelines, name) ? name : longest(Object.keys(pipelines).filter((each) => name.startsWith(`${each}/`)))
    const own = asMap(owner === null ? null : pipelines[owner])
    const [field] = rest
    if (field !== undefined && !Object.hasOwn(own, field) && Object.hasOwn(defaults, field))
      return origin.place(['defaults', ...rest], 'value')
    return origin.place([top, owner ?? name, ...rest], rest.length === 0 ? 'key' : 'value')
  }
}

function longest(names: readonly string[]): string | null {
  return names.reduce<string | null>((best, each) => (best === null || each.length > best.length ? each : best), null)
}

function isMap(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function asMap(value: unknown): Fields {
  return isMap(value) ? value : {}
}

function isTypeName(type: string): type is keyof typeof CONNECTION_TYPES {
  return Object.hasOwn(CONNECTION_TYPES, type)
}

function isPattern(pattern: string): pattern is keyof typeof PATTERNS {
  return Object.hasOwn(PATTERNS, pattern)
}
