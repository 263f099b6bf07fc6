// The results as a Markdown table.

import type { Measurement } from './measure.ts'
import type { Result } from './rounds.ts'

const HEAD = ['load', 'rows', 'by', 'seconds', 'min–max', 'tidemark takes', 'CPU s', 'MB, largest process', 'MB, all processes']

export function resultTable(results: readonly Result[]): string {
  const lines = [HEAD, HEAD.map((_, column) => (column === 0 || column === 2 ? '---' : '---:')), ...results.flatMap(resultLines)]
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

function resultLines({ title, rows, tools }: Result): string[][] {
  const own = medianOf(tools[0]?.runs ?? [], (run) => run.seconds)
  return tools.map(({ title: tool, runs }, index) => {
    const start = index === 0 ? [title, rows.toLocaleString('en')] : ['', '']
    const failed = runs.filter((run) => run.failure !== null).length
    if (failed > 0) return [...start, tool, `none: target wrong in ${failed} of ${runs.length} runs`, '', '', '', '', '']
    const seconds = runs.map((run) => run.seconds)
    const median = medianOf(runs, (run) => run.seconds)
    const ratio = index === 0 || own === null || median === null ? '' : `${(own / median).toFixed(2)} ×`
    return [
      ...start,
      tool,
      figure(median, 2),
      `${Math.min(...seconds).toFixed(2)}–${Math.max(...seconds).toFixed(2)}`,
      ratio,
      figure(
        medianOf(runs, (run) => run.cpuSeconds),
        2,
      ),
      figure(
        medianOf(runs, (run) => run.largestMegabytes),
        0,
      ),
      figure(
        medianOf(runs, (run) => run.togetherMegabytes),
        0,
      ),
    ]
  })
}

/** Null where any run has no figure, or no right to one. */
function medianOf(runs: readonly Measurement[], figureOf: (run: Measurement) => number | null): number | null {
  const values = runs.map((run) => (run.failure === null ? figureOf(run) : null)).filter((value) => value !== null)
  if (values.length === 0 || values.length < runs.length) return null
  values.sort((a, b) => a - b)
  const middle = values.length >> 1
  return values.length % 2 === 1 ? values[middle]! : (values[middle - 1]! + values[middle]!) / 2
}

function figure(value: number | null, digits: number): string {
  return value === null ? '–' : value.toFixed(digits)
}
