import * as z from 'zod/mini'
import { type OptionContext, type OptionReport, pemOrPath } from './connection-options.ts'
import { fields, oneOf, text } from './field.ts'
import { withoutReferences } from './reference.ts'

/** The option `tls`: one of the modes, or all in detail. `who`: the other side, as `the server`. */
export function tlsOption<const Mode extends string>(modes: readonly [Mode, ...Mode[]], about: string, who: string, what: string) {
  return z.optional(
    z
      .union([
        oneOf(modes, about),
        fields(
          {
            mode: z.optional(oneOf(modes, about)),
            ca: z.optional(text('File with the certificates of the authorities to trust, or their text (PEM).')),
            cert: z.optional(text(`File with the certificate to show to ${who}, or its text (PEM).`)),
            key: z.optional(text('File with the key of that certificate, or its text (PEM) as ${file:PATH}.')),
            server_name: z.optional(text(`Name expected in the certificate of ${who}. Default: host.`)),
          },
          'Encryption in detail.',
        ),
      ])
      .check(z.describe(`How ${what} encrypted. Default: verify-full for anything but this machine itself.`)),
  )
}

/** What `tls` is for the connector: its files are found from the project file, and a key that was typed is told. */
export function reviewTls(tls: unknown, report: OptionReport, { directory, written, literal }: OptionContext): unknown {
  if (typeof tls !== 'object' || tls === null) return tls
  const given = tls as Record<string, unknown>
  if ((given['cert'] === undefined) !== (given['key'] === undefined)) report(['tls'], 'needs cert and key together', 'key')
  const key = written(['tls', 'key'])
  if (key !== null && withoutReferences(key).includes('-----BEGIN')) literal(['tls', 'key'])
  const files = ['ca', 'cert', 'key'].filter((name) => typeof given[name] === 'string')
  return { ...given, ...Object.fromEntries(files.map((name) => [name, pemOrPath(directory, given[name] as string)])) }
}
