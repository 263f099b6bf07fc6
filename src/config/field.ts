// The building blocks of the schemas. zod/mini, because its import takes a third less time than zod's.

import * as z from 'zod/mini'
import { parseDuration } from './duration.ts'

type Shape = Record<string, z.core.$ZodType>

/** A map with exactly these keys. Its error for unknown keys lists the known ones. */
export function fields<const S extends Shape>(shape: S, description: string): z.ZodMiniObject<S, z.core.$strict> {
  return bare(shape).check(z.describe(description))
}

/** The same map with no key needed. */
export function optionalFields<const S extends Shape>(
  shape: S,
  description: string,
): z.ZodMiniObject<{ [Key in keyof S]: z.ZodMiniOptional<S[Key]> }, z.core.$strict> {
  return z.partial(bare(shape)).check(z.describe(description))
}

function bare<const S extends Shape>(shape: S): z.ZodMiniObject<S, z.core.$strict> {
  const known = Object.keys(shape).join(', ')
  return z.strictObject(shape, { error: (issue) => (issue.code === 'unrecognized_keys' ? known : undefined) })
}

/** Any text but an empty one. */
export function text(description: string): z.ZodMiniString {
  return z.string().check(z.minLength(1), z.describe(description))
}

/** A text that must pass a test; `wrong` ends the sentence that begins with the text itself. */
export function textThat(
  passes: (value: string) => boolean,
  wrong: string,
  description: string,
  expected = 'expected text',
): z.ZodMiniString {
  return z
    .string({ error: expected })
    .check(z.minLength(1), z.describe(description))
    .check(z.refine(passes, { error: wrong, abort: false, params: { shown: true }, when: isFilledText }))
}

/** Like `textThat`, for what may hold a secret: no message shows the text. */
export function secretTextThat(passes: (value: string) => boolean, wrong: string, description: string): z.ZodMiniString {
  return text(description).check(z.refine(passes, { error: wrong, when: isFilledText }))
}

/** `10s`, `5m`, `1h30m`, `250ms`. */
export function duration(description: string): z.ZodMiniString {
  const form = 'like 250ms, 10s, 5m or 1h30m'
  return textThat(
    (value) => (parseDuration(value) ?? 0) > 0,
    `is no duration; write it ${form}`,
    description,
    `expected a duration ${form}`,
  )
}

/** A whole number; also as digits in a text, as references give it. */
export function wholeNumber(
  least: number,
  most: number,
  description: string,
): z.ZodMiniUnion<readonly [z.ZodMiniInt, z.ZodMiniString<string>]> {
  const inside = (value: string): boolean => /^\d{1,15}$/.test(value) && Number(value) >= least && Number(value) <= most
  const error = `expected a whole number from ${least} to ${most}`
  const number = z.int({ error }).check(z.minimum(least, { error }), z.maximum(most, { error }))
  const digits = z.string().check(z.refine(inside, { error }))
  return z.union([number, digits], { error }).check(z.describe(description))
}

/** A list of at least one column name. */
export function names(description: string): z.ZodMiniArray<z.ZodMiniString> {
  return z
    .array(z.string().check(z.minLength(1)), { error: 'expected a list, such as [id]' })
    .check(z.minLength(1), z.describe(description))
}

/** One of a few words. */
export function oneOf<const W extends readonly string[]>(words: W, description: string): z.ZodMiniEnum<z.core.util.ToEnum<W[number]>> {
  return z.enum(words).check(z.describe(description))
}

function isFilledText(payload: z.core.ParsePayload): boolean {
  return typeof payload.value === 'string' && payload.value !== ''
}
