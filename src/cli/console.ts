// Where output goes: data to stdout, everything told to people to stderr.

import pc from 'picocolors'
import { LoadError } from '../core/errors.ts'
import type { ErrorReport, RunEvent } from '../core/event.ts'
import { eventJson, printJson } from '../reporters/json.ts'
import { linesReporter } from '../reporters/lines.ts'
import { terminalReporter } from '../reporters/terminal.ts'
import { wrap } from '../reporters/wrap.ts'

export type OutputFormat = 'text' | 'json' | 'ndjson'

export interface GlobalOptions {
  readonly config?: string
  readonly output?: OutputFormat
  readonly quiet?: boolean
  readonly verbose?: boolean
  readonly yes?: boolean
  readonly color?: boolean
}

export class Console {
  readonly options: GlobalOptions
  readonly #output: OutputFormat
  readonly #color: ReturnType<typeof pc.createColors>

  constructor(options: GlobalOptions) {
    this.options = options
    this.#output = options.output ?? 'text'
    const wanted = options.color !== false && !process.env['NO_COLOR'] && (process.stderr.isTTY || Boolean(process.env['FORCE_COLOR']))
    this.#color = pc.createColors(wanted)
  }

  /** For programs. */
  data(value: unknown): void {
    if (this.#output === 'text') return
    process.stdout.write(`${printJson(value, this.#output === 'json' ? 2 : undefined)}\n`)
  }

  /** For people who asked for it: the answer itself. */
  answer(lines: readonly string[]): void {
    if (this.#output !== 'text') return
    const { stdout } = process
    const shown = stdout.isTTY ? lines.flatMap((line) => wrap(line, stdout.columns || 80)) : lines
    stdout.write(shown.map((line) => `${line}\n`).join(''))
  }

  /** For people who watch. */
  say(line: string): void {
    if (this.options.quiet !== true) process.stderr.write(`${line}\n`)
  }

  error(report: ErrorReport): void {
    const place = report.where === null || report.message.includes(report.where) ? '' : `${report.where}: `
    process.stderr.write(`${this.#color.red('error')} ${this.#color.dim(`[${report.code}]`)} ${place}${report.message}\n`)
    if (report.hint !== '') process.stderr.write(`  ${report.hint}\n`)
  }

  mark(severity: 'error' | 'warning' | 'info'): string {
    return { error: this.#color.red('error  '), warning: this.#color.yellow('warning'), info: this.#color.dim('info   ') }[severity]
  }

  /** What turns events into output; JSON lines also go to stdout. */
  reporter(): (event: RunEvent) => void {
    const { quiet, verbose } = this.options
    const forPeople = quiet === true ? () => {} : this.#forPeople(verbose === true)
    if (this.#output !== 'ndjson') return forPeople
    return (event) => {
      process.stdout.write(`${printJson(eventJson(event))}\n`)
      forPeople(event)
    }
  }

  #forPeople(verbose: boolean): (event: RunEvent) => void {
    const { stderr } = process
    if (!stderr.isTTY)
      return linesReporter(
        (line) => stderr.write(`${line}\n`),
        () => performance.now(),
        verbose,
      )
    return terminalReporter(
      {
        write: (text) => void stderr.write(text),
        get columns() {
          return stderr.columns || 80
        },
        now: () => performance.now(),
        color: { good: this.#color.green, bad: this.#color.red, dim: this.#color.dim },
      },
      verbose,
    )
  }

  /** True without asking under --yes; throws `bad-usage` where nobody can answer. */
  async confirm(question: string): Promise<boolean> {
    if (this.options.yes === true) return true
    if (!process.stdin.isTTY || !process.stderr.isTTY)
      throw new LoadError('bad-usage', `${question} Nobody is there to answer.`, { hint: 'Repeat the command with --yes.' })
    const { createInterface } = await import('node:readline/promises')
    const ask = createInterface({ input: process.stdin, output: process.stderr })
    try {
      return /^y(es)?$/i.test((await ask.question(`${question} [y/N] `)).trim())
    } finally {
      ask.close()
    }
  }
}
