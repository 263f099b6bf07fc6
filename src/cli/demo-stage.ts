// What the steps of `tidemark demo` share: the two ends, and the comparison of source and target after each step.

import { join } from 'node:path'
import type { Client } from 'pg'
import { count, grouped } from '../core/plan-text.ts'
import type { Console } from './console.ts'
import { type Comparison, compareTable } from './demo-compare.ts'
import type { Loaded } from './demo-run.ts'
import type { ShopTable } from './demo-shop.ts'

export interface Stage {
  readonly console: Console
  readonly shop: Client
  readonly cashier: Client
  readonly url: string
  readonly folder: string
  readonly steps: { step: string; comparisons: readonly Comparison[] }[]
}

export interface Expected {
  readonly table: ShopTable
  /** Which rows of the source are expected; default: all. */
  readonly where?: string
}

/** `note`: what the comparison leaves out. */
export async function compare(
  { console, shop, folder, steps }: Stage,
  step: string,
  expected: readonly Expected[],
  note = '',
): Promise<void> {
  const comparisons: Comparison[] = []
  for (const { table, where } of expected) comparisons.push(await compareTable({ shop, warehouse: warehouseOf({ folder }) }, table, where))
  steps.push({ step, comparisons })
  const rows = comparisons.reduce((sum, one) => sum + one.source_rows, 0)
  for (const one of comparisons.filter(({ equal }) => !equal))
    console.say(`   ${one.table} DIFFERS: ${grouped(one.lost)} lost, ${grouped(one.doubled)} doubled, ${grouped(one.different)} different.`)
  if (comparisons.every(({ equal }) => equal)) console.say(`   Compared: ${count(rows, 'row')}, all equal${note}.`)
}

export function warehouseOf({ folder }: Pick<Stage, 'folder'>): string {
  return join(folder, 'warehouse.duckdb')
}

export function loadedText({ pipelines, seconds }: Loaded): string {
  const sum = (kind: 'inserted' | 'updated' | 'deleted'): number => pipelines.reduce((total, { rows }) => total + rows[kind], 0)
  const parts = (['inserted', 'updated', 'deleted'] as const).filter((kind) => sum(kind) > 0).map((kind) => `${grouped(sum(kind))} ${kind}`)
  const held = pipelines.filter(({ status }) => status === 'held').map(({ pipeline }) => pipeline)
  return `${parts.join(', ') || 'nothing to do'} in ${seconds.toFixed(1)} s${held.length === 0 ? '.' : `; ${held.join(', ')} held.`}`
}
