import { describe, expect, it } from 'vitest'
import { expandWildcard, isWildcard } from './expand-wildcard.ts'
import { requireOwnTargets, tableIdentity } from './shared-target.ts'
import { validateProject } from './validate-project.ts'

const connections = { pg: { type: 'postgres' }, duck: { type: 'duckdb' }, mem: { type: 'memory' } }

describe('tableIdentity', () => {
  it.each([
    ['pg', [null, 'orders'], ['public', 'orders'], true],
    ['pg', ['public', 'orders'], ['public', 'Orders'], false],
    ['duck', [null, 'orders'], ['main', 'ORDERS'], true],
    ['mem', [null, 'orders'], ['main', 'orders'], false],
    ['pg', ['a', 'b.c'], ['a.b', 'c'], false],
  ] as const)('%s: %j and %j', (connection, [schemaA, nameA], [schemaB, nameB], same) => {
    const a = tableIdentity(connection, { schema: schemaA, name: nameA }, connections)
    const b = tableIdentity(connection, { schema: schemaB, name: nameB }, connections)
    expect(a === b).toBe(same)
  })
})

describe('requireOwnTargets', () => {
  const watermark = { pattern: 'watermark', target: { connection: 'b' }, cursor: 'c' }
  const project = validateProject(
    {
      connections: { a: { type: 'memory' }, b: { type: 'memory' } },
      pipelines: {
        all: { ...watermark, source: { connection: 'a', table: 's.*' } },
        'all/x': { ...watermark, source: { connection: 'a', table: 'y' } },
      },
    },
    'project',
    { env: {} },
  )
  const expand = (...names: string[]) =>
    project.pipelines.flatMap((each) =>
      isWildcard(each)
        ? expandWildcard(
            each,
            names.map((name) => ({ schema: 's', name })),
          )
        : [each],
    )

  it('accepts different tables', () => {
    expect(() => requireOwnTargets(project, expand('v', 'w'))).not.toThrow()
  })

  it('refuses one table for two pipelines, and one name', () => {
    expect(() => requireOwnTargets(project, expand('y'))).toThrow(
      'pipelines all/y (project pipelines.all) and all/x (project pipelines.all/x) write the same table',
    )
    expect(() => requireOwnTargets(project, expand('x'))).toThrow('have the same name')
  })
})
