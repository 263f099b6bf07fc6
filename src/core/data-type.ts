// What a column holds, whatever database it lives in. A type that no other system would understand is `other`: it
// travels as text, exactly as its own database prints it.

export type DataType =
  | { readonly kind: 'boolean' | 'text' | 'bytes' | 'date' | 'json' | 'uuid' | 'interval' }
  | { readonly kind: 'integer'; readonly bits: 8 | 16 | 32 | 64 }
  | { readonly kind: 'float'; readonly bits: 32 | 64 }
  | { readonly kind: 'decimal'; readonly precision: number; readonly scale: number }
  | { readonly kind: 'time' | 'timestamp'; readonly zoned: boolean }
  | { readonly kind: 'other'; readonly native: string }

/** The type in words, for plans and errors. */
export function describeType(type: DataType): string {
  switch (type.kind) {
    case 'integer':
    case 'float':
      return `${type.kind} of ${type.bits} bits`
    case 'decimal':
      return `decimal(${type.precision},${type.scale})`
    case 'time':
    case 'timestamp':
      return type.zoned ? `${type.kind} with time zone` : type.kind
    case 'other':
      return type.native
    default:
      return type.kind
  }
}

export function sameType(a: DataType, b: DataType): boolean {
  return describeType(a) === describeType(b)
}

/** Can every value of `narrow` be held by `wide` without change? */
export function holds(wide: DataType, narrow: DataType): boolean {
  if (sameType(wide, narrow)) return true
  if (wide.kind === 'integer' && narrow.kind === 'integer') return wide.bits >= narrow.bits
  if (wide.kind === 'float' && narrow.kind === 'float') return wide.bits >= narrow.bits
  if (wide.kind === 'decimal' && narrow.kind === 'integer') return wide.precision - wide.scale >= integerDigits(narrow.bits)
  if (wide.kind === 'decimal' && narrow.kind === 'decimal')
    return wide.scale >= narrow.scale && wide.precision - wide.scale >= narrow.precision - narrow.scale
  return false
}

function integerDigits(bits: 8 | 16 | 32 | 64): number {
  return { 8: 3, 16: 5, 32: 10, 64: 19 }[bits]
}
