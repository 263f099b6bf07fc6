import * as z from 'zod/mini'
import { fields, oneOf, text } from './field.ts'

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
