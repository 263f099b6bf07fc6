import * as z from 'zod/mini'
import { fields, text } from './field.ts'

/** Tables in this process's memory, for tests and trials. */
export const memoryOptions = fields(
  {
    type: z.literal('memory').check(z.describe('Tables in the memory of this process, for tests.')),
    name: z.optional(text('Connections of one name share their tables. Default: the name of the connection.')),
  },
  'Tables in the memory of this process, for tests.',
)
