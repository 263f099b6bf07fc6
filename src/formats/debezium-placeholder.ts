// What Debezium writes in place of a value that was not in the log, since it is stored apart from its row and has not changed. It has as
// many forms as columns have types.

import { writeBase64 } from './debezium-bytes.ts'
import { TextBuilder, utf8Bytes, utf8Text } from './debezium-text.ts'

/** `unavailable.value.placeholder`, and the UUID that Java's `UUID.nameUUIDFromBytes` makes of it: its MD5, as version 3. */
export interface Placeholder {
  readonly text: string
  readonly uuid: string
}

export const DEFAULT_PLACEHOLDER: Placeholder = { text: '__debezium_unavailable_value', uuid: 'b68a35a7-17ad-35b3-af2a-ae46edb4545a' }

export class PlaceholderForms {
  readonly #texts: readonly Uint8Array[]
  readonly #arrays: readonly Uint8Array[]
  readonly #maps: readonly Uint8Array[]

  constructor({ text, uuid }: Placeholder) {
    const bytes = utf8Bytes(text)
    const [base64, hex] = [toBase64(bytes), toHex(bytes)]
    const texts = [text, base64, base64.replace(/=+$/, ''), base64.replaceAll('+', '-').replaceAll('/', '_'), hex, uuid]
    const map = JSON.stringify({ [text]: text })
    this.#texts = [...texts, map].map((form) => utf8Bytes(JSON.stringify(form).slice(1, -1)))
    // Of whole numbers, and of dates, it is the bytes one by one; Java's are signed.
    const numbers = `[${Array.from(bytes, (byte) => (byte << 24) >> 24).join(',')}]`
    this.#arrays = [...texts.map((form) => JSON.stringify([form])), numbers].map(utf8Bytes)
    this.#maps = [utf8Bytes(map)]
  }

  /** Are these bytes, which lie between quotes, the placeholder? */
  isText(bytes: Uint8Array, from: number, to: number): boolean {
    return this.#texts.some((form) => form.length === to - from && startsAt(bytes, from, form))
  }

  /** Does the placeholder as an array or a map begin here? Returns how many bytes it has, or 0. */
  sizeAt(bytes: Uint8Array, from: number, end: number): number {
    const forms = bytes[from] === 0x5b ? this.#arrays : this.#maps
    return forms.find((form) => from + form.length <= end && startsAt(bytes, from, form))?.length ?? 0
  }
}

function startsAt(bytes: Uint8Array, from: number, form: Uint8Array): boolean {
  for (let at = 0; at < form.length; at++) if (bytes[from + at] !== form[at]) return false
  return true
}

function toBase64(bytes: Uint8Array): string {
  const out = new TextBuilder()
  writeBase64(bytes, 0, bytes.length, out)
  return utf8Text(out.bytes, 0, out.length) ?? ''
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
