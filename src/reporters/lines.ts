// Events as plain lines, for a pipe or a log file: nothing moves, nothing is coloured.

import type { RunEvent } from '../core/event.ts'
import { count } from '../core/plan-text.ts'
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

const SAY_EVERY_MS = 10_000

export function linesReporter(write: (line: string) => void, now: () => number, verbose: boolean): (event: RunEvent) => void {
  let view: PipelineView | null = null
  let began = 0
  let said = 0
  const sayProgress = (): void => {
    if (view === null || now() - said < SAY_EVERY_MS) return
    said = now()
    write(progressLine(view, (said - began) / 1000))
  }
  return (event) => {
    if (event.kind === 'pipeline-started') {
      view = beginView(event.pipeline)
      began = now()
      said = began
    }
    if (view !== null) view = foldEvent(view, event)
    switch (event.kind) {
      case 'planned':
        if (verbose) for (const line of plannedLines(event.plan)) write(line)
        break
      case 'partitions-planned':
        if (verbose) for (const line of plannedPartitionLines(event.plan)) write(line)
        break
      case 'partition-committed':
        if (verbose) write(`${event.pipeline}  partition ${event.partition}: ${count(event.read, 'row')}`)
        sayProgress()
        break
      case 'partition-failed':
        write(failedPartitionLine(event))
        break
      case 'waiting-for-others':
        write(`${event.pipeline}  other runs are still loading ${count(event.partitions, 'partition')}; waiting for them`)
        break
      case 'slice-started':
        if (verbose || event.of > 1)
          write(
            `${event.pipeline}  slice ${event.slice} of ${event.of}${event.estimatedRows === null ? '' : `, about ${count(event.estimatedRows, 'row')}`}`,
          )
        break
      case 'warning':
        write(`${event.pipeline}  ${event.message}`)
        break
      case 'retrying':
        write(`${event.pipeline}  ${event.message} Trying again in ${event.waitSeconds.toFixed(1)} s.`)
        break
      case 'pipeline-finished':
        write(resultLine(event.result))
        break
      default:
        sayProgress()
    }
  }
}
