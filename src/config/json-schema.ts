import * as z from 'zod/mini'
import { projectSchema } from './project-schema.ts'

/** The project file as JSON Schema 2020-12, for editors. */
export function jsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(projectSchema, { io: 'input', target: 'draft-2020-12', override: ({ jsonSchema: part }) => soften(part) })
  return { title: 'tidemark project', ...schema }
}

// A pipeline may take any field from `defaults`, which JSON Schema can't express.
function soften(part: { properties?: Record<string, unknown>; required?: string[] }): void {
  if (part.properties !== undefined && 'cursor' in part.properties) delete part.required
}
