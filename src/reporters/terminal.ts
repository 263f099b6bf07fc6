// Events on a terminal: one line per pipeline that changes in place, and what stays after it.

import type { RunEvent } from '../core/event.ts'
import {
  beginView,
  failedPartitionLine,
  foldEvent,
  type PipelineView,
  plannedLines,
  plannedPartitionLines,
  progressLine,
  resultLine,
} from '../core/run-view.ts'

/** The clock is given from outside: reporters read none. */
export interface Screen {
  write(text: string): void
  readonly columns: number
  /** Milliseconds. */
  now(): number
  readonly color: { good(text: string): string; bad(text: string): string; dim(text: string): string }
}

const REDRAW_MS = 100
const CLEAR = '\r\x1b[2K'

export function terminalReporter(screen: Screen, verbose = false): (event: RunEvent) => void {
  let view: PipelineView | null = null
  let began = 0
  let drawn = 0
  const draw = (): void => {
    if (view === null || screen.now() - drawn < REDRAW_MS) return
    drawn = screen.now()
    screen.write(CLEAR + shortened(progressLine(view, (screen.now() - began) / 1000, screen.columns), screen.columns))
  }
  return (event) => {
    if (event.kind === 'pipeline-started') {
      view = beginView(event.pipeline)
      began = screen.now()
    }
    if (view !== null) view = foldEvent(view, event)
    if (verbose && event.kind === 'planned')
      screen.write(
        `${CLEAR}${plannedLines(event.plan)
          .map((line) => `${screen.color.dim(line)}\n`)
          .join('')}`,
      )
    else if (verbose && event.kind === 'partitions-planned')
      screen.write(
        `${CLEAR}${plannedPartitionLines(event.plan)
          .map((line) => `${screen.color.dim(line)}\n`)
          .join('')}`,
      )
    else if (event.kind === 'partition-failed') screen.write(`${CLEAR}${screen.color.bad('✗')} ${failedPartitionLine(event)}\n`)
    else if (event.kind === 'warning') screen.write(`${CLEAR}${screen.color.dim(`${event.pipeline}  ${event.message}`)}\n`)
    else if (event.kind === 'retrying')
      screen.write(
        `${CLEAR}${screen.color.dim(`${event.pipeline}  ${event.message} Trying again in ${event.waitSeconds.toFixed(1)} s.`)}\n`,
      )
    else if (event.kind === 'pipeline-finished') {
      const mark = event.result.error === null ? screen.color.good('✓') : screen.color.bad('✗')
      screen.write(`${CLEAR}${mark} ${resultLine(event.result, screen.columns - 3)}\n`)
      view = null
    } else draw()
  }
}

/** A line that wraps could not be redrawn. */
function shortened(line: string, columns: number): string {
  return line.length < columns ? line : `${line.slice(0, Math.max(columns - 2, 1))}…`
}
