import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { expandWildcard, isWildcard } from './expand-wildcard.ts'
import type { WildcardPipeline } from './project.ts'
import { isProjectName } from './project-schema.ts'

function template(schema: string, table: string, targetSchema: string | null = 'staging'): WildcardPipeline {
  return {
    wildcard: true,
    name: 'shop',
    pattern: 'watermark',
    source: { connection: 'db', schema, table },
    target: { connection: 'dw', schema: targetSchema },
    cursor: 'updated_at',
    cursorTimeZone: null,
    start: null,
    key: null,
    write: null,
    lateRows: { kind: 'auto' },
    nullCursor: 'error',
    firstLoad: null,
    where: null,
    columns: { include: null, exclude: [] },
    onSchemaChange: 'evolve',
  }
}

const tables = ['orders', 'order_items', 'customers'].map((name) => ({ schema: 'public', name }))

describe('expandWildcard', () => {
  it('makes one pipeline per table, which writes a table of the same name', () => {
    const [first, ...others] = expandWildcard(template('public', '*'), tables)
    expect(others).toHaveLength(2)
    expect(first).toEqual({
      ...template('public', '*'),
      wildcard: undefined,
      name: 'shop/orders',
      source: { connection: 'db', table: { schema: 'public', name: 'orders' }, query: null },
      target: { connection: 'dw', table: { schema: 'staging', name: 'orders' } },
    })
    expect(first !== undefined && isWildcard(first)).toBe(false)
  })

  it.each([
    ['ord*', ['shop/orders', 'shop/order_items']],
    ['*s', ['shop/orders', 'shop/order_items', 'shop/customers']],
    ['*_*', ['shop/order_items']],
    ['o**s', ['shop/orders', 'shop/order_items']],
    ['ord.*', []],
    ['x*', []],
    ['*order', []],
    ['orders*orders', []],
    ['orders*', ['shop/orders']],
    ['o*de*s', ['shop/orders', 'shop/order_items']],
    ['*', ['shop/orders', 'shop/order_items', 'shop/customers']],
  ])('%s finds %j', (pattern, names) => {
    expect(expandWildcard(template('public', pattern), tables).map((each) => each.name)).toEqual(names)
  })

  it('takes only tables of its schema', () => {
    expect(expandWildcard(template('other', '*'), tables)).toEqual([])
    expect(expandWildcard(template('public', '*', null), [...tables, { schema: null, name: 'orders' }])).toHaveLength(3)
  })

  it('names pipelines validly and differently for all tables, also odd ones', () => {
    const names = fc.uniqueArray(fc.oneof(fc.string({ minLength: 1 }), fc.string({ unit: 'binary', minLength: 1, maxLength: 200 })), {
      maxLength: 20,
    })
    fc.assert(
      fc.property(names, (all) => {
        const made = expandWildcard(
          template('public', '*'),
          all.map((name) => ({ schema: 'public', name })),
        ).map((each) => each.name)
        expect(made).toHaveLength(all.length)
        expect(new Set(made).size).toBe(all.length)
        for (const name of made) expect(isProjectName(name), name).toBe(true)
      }),
    )
  })

  it('keeps the name of an odd table for ever', () => {
    const [odd] = expandWildcard(template('public', '*'), [{ schema: 'public', name: 'My Orders' }])
    expect(odd?.name).toBe('shop/My_Orders-7754f10e5e974b2d')
  })

  it('is quick with many stars', () => {
    const name = 'a'.repeat(63)
    expect(expandWildcard(template('public', `${'*a'.repeat(30)}*b*`), [{ schema: 'public', name }])).toEqual([])
  })
})
