// Which layer may import which. Tests lie beside what they test and may import anything.

import type { Import } from './import-graph.ts'

const LAYERS: Record<string, readonly string[]> = {
  core: [],
  contract: ['core'],
  formats: ['core'],
  reporters: ['core'],
  sql: ['core', 'contract', 'formats'],
  connectors: ['core', 'contract', 'formats', 'sql'],
  engine: ['core', 'contract'],
  config: ['core', 'contract', 'connectors/registry'],
  project: ['core', 'contract', 'sql', 'connectors/registry', 'engine', 'config'],
  testing: ['core', 'contract', 'formats', 'engine'],
  cli: ['core', 'contract', 'formats', 'reporters', 'sql', 'connectors/registry', 'engine', 'config', 'project', 'testing', 'index'],
  index: ['core', 'contract', 'formats', 'reporters', 'sql', 'connectors/registry', 'engine', 'config', 'project', 'testing'],
}

/** Layers that use nothing but the language, or nothing but Node. */
const PURE = ['core', 'contract', 'formats', 'sql']
const WITHOUT_PACKAGES = [...PURE, 'engine']

/** `core`, `connectors/postgres`, `connectors/registry`, `index`. */
function place(path: string): { layer: string; part: string } {
  const [, first = '', second = ''] = path.replace(/\.ts$/, '').split('/')
  return { layer: first, part: first === 'connectors' ? `connectors/${second}` : first }
}

/** The reason why an import is not allowed, or null. */
export function refuse({ from, to, own }: Import): string | null {
  if (!from.startsWith('src/') || from.endsWith('.test.ts')) return null
  const importer = place(from)
  if (!own) {
    if (to.startsWith('node:')) return PURE.includes(importer.layer) ? `${importer.layer} uses nothing of Node` : null
    return WITHOUT_PACKAGES.includes(importer.layer) ? `${importer.layer} uses no packages` : null
  }
  if (!to.startsWith('src/')) return 'src imports only src'
  if (to.endsWith('.test.ts')) return 'a test is imported by nothing'
  const imported = place(to)
  if (imported.part === importer.part || importer.part === 'connectors/registry') return null
  const allowed = LAYERS[importer.layer]
  if (!allowed) return `${importer.layer} is no layer`
  if (allowed.includes(imported.layer) && imported.layer !== 'connectors') return null
  return allowed.includes(imported.part) ? null : `${importer.part} may not import ${imported.part}`
}
