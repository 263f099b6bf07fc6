// Where in the project file an error of a pipeline was asked for.

import type { Project } from '../config/project.ts'
import type { ErrorCode } from '../core/errors.ts'
import type { ErrorReport } from '../core/event.ts'
import type { Pipeline } from '../core/pipeline.ts'

const FIELDS: Partial<Record<ErrorCode, readonly string[]>> = {
  'missing-table': ['source', 'table'],
  'unusable-cursor': ['cursor'],
  'null-cursor': ['cursor'],
  'missing-key': ['source'],
  'unknown-columns': ['source', 'tables'],
  'null-key': ['key'],
  'late-rows-unsafe': ['late_rows'],
  'schema-frozen': ['on_schema_change'],
  'definition-changed': [],
  'target-missing': [],
  'schema-conflict': [],
  'missing-column': [],
}

/** The error with `file:line:column` before what the connector said of the place. */
export function place(project: Project, pipeline: Pipeline, error: ErrorReport): ErrorReport {
  const field = FIELDS[error.code]
  if (field === undefined) return error
  const at = project.place(['pipelines', pipeline.name, ...field])
  return {
    code: error.code,
    message: error.message,
    hint: error.hint,
    where: error.where === null || error.where === at ? at : `${at}, ${error.where}`,
  }
}
