import { expect, it } from 'vitest'
import { jsonSchema } from './json-schema.ts'

type Part = { [key: string]: unknown; properties?: Record<string, Part> }

it('is JSON Schema 2020-12 of the whole file', () => {
  const schema = jsonSchema() as Part
  expect(schema['$schema']).toBe('https://json-schema.org/draft/2020-12/schema')
  expect(Object.keys(schema.properties ?? {})).toEqual(['connections', 'defaults', 'pipelines'])
  expect(schema['required']).toEqual(['connections', 'pipelines'])
  expect(schema['additionalProperties']).toBe(false)
})

it('describes every field, so that editors can help', () => {
  const undescribed: string[] = []
  const visit = (part: unknown, path: string): void => {
    if (typeof part !== 'object' || part === null) return
    const { properties = {}, ...rest } = part as Part
    for (const [name, field] of Object.entries(properties)) {
      if (typeof field['description'] !== 'string') undescribed.push(`${path}.${name}`)
      visit(field, `${path}.${name}`)
    }
    for (const [key, value] of Object.entries(rest)) visit(value, `${path}.${key}`)
  }
  visit(jsonSchema(), '')
  expect(undescribed).toEqual([])
})

it('needs no field of a pipeline, for defaults may give it', () => {
  const text = JSON.stringify(jsonSchema())
  expect(text).not.toMatch(/"required":\[[^\]]*"cursor"/)
  expect(text).toContain('"const":"watermark"')
  expect(text).toContain('delete-insert')
})
