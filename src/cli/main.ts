// The command line. Each command is loaded when it is called, so that starting costs little.

import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { asLoadError, ERRORS } from '../core/errors.ts'
import { Console, type GlobalOptions } from './console.ts'
import type { ConvertFlags } from './convert.ts'
import { VERSION } from './version.ts'

process.on('unhandledRejection', (reason) => {
  process.stderr.write(`tidemark: unexpected: ${reason instanceof Error ? (reason.stack ?? reason.message) : String(reason)}\n`)
  process.exit(70)
})

const program = common(new Command('tidemark'))
  .description('Loads data incrementally, and loses and doubles nothing.')
  .version(VERSION)
  .exitOverride()
  .configureHelp({ showGlobalOptions: true })
  .showHelpAfterError('(tidemark --help shows what there is)')

function command(name: string, description: string, parent: Command = program): Command {
  return common(parent.command(name).description(description)).exitOverride()
}

/** Options that may stand before or after the command's name. */
function common(of: Command): Command {
  return of
    .option('-c, --config <file>', 'project file (default: tidemark.yml)')
    .addOption(new Option('-o, --output <format>', 'output for people or programs (default: text)').choices(['text', 'json', 'ndjson']))
    .option('-q, --quiet', 'no progress, only errors')
    .option('-v, --verbose', 'say more')
    .option('--yes', 'answer every question with yes')
    .addOption(new Option('--no-color', 'no colours').default(undefined))
}

function withRange(of: Command): Command {
  return of
    .option('--from <value>', 'load again from this cursor value on (the watermark stays)')
    .option('--to <value>', 'up to this cursor value, which is not included')
    .option('--full-refresh', 'load everything again; rows gone at the source go')
    .option('--sweep', 'look for late rows in the whole table')
    .option('--max-slices <n>', 'stop after so many slices', positive)
    .option('--partition <key>', 'load this partition, also where it is committed; may be repeated', several)
    .option('--resync <table>', 'copy this table of a cdc pipeline again, while the others go on; may be repeated', several)
    .option('--workers <n>', 'load so many partitions at once', positive)
}

function several(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text]
}

function positive(text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new InvalidArgumentError('It must be a number from 1 on.')
  return Number(text)
}

let exitCode = 0

/** Runs a command; whatever it throws becomes one named error. */
function act<Arguments extends unknown[]>(what: (console: Console, ...rest: Arguments) => number | Promise<number>) {
  return async (...given: unknown[]): Promise<void> => {
    const self = given.at(-1) as Command
    const options = { ...program.opts<GlobalOptions>(), ...typed(self) }
    const console = new Console(options)
    try {
      exitCode = await what(console, ...(given.slice(0, -1) as Arguments))
    } catch (thrown) {
      const error = asLoadError(thrown)
      const report = { code: error.code, message: error.message, hint: error.hint, where: error.where }
      console.data({ command: self.name(), ok: false, error: report })
      console.error(report)
      if (error.code === 'bug' && options.verbose === true) process.stderr.write(`${error.stack}\n`)
      exitCode = ERRORS[error.code].exit
    }
  }
}

/** Only what was typed: a command's defaults don't win over what stood before its name. */
function typed(of: Command): GlobalOptions {
  return Object.fromEntries(Object.entries(of.opts<GlobalOptions>()).filter(([name]) => of.getOptionValueSource(name) === 'cli'))
}

withRange(command('run', 'bring pipelines up to date').argument('[pipelines...]')).action(
  act(async (console, names: string[], flags: object) => (await import('./run.ts')).run(console, names, flags)),
)
withRange(command('plan', 'show what a run would do').argument('[pipelines...]').option('--sql', 'with the statements')).action(
  act(async (console, names: string[], flags: object) => (await import('./plan.ts')).plan(console, names, flags)),
)
command('check', 'connect, and say what to mend')
  .argument('[pipelines...]')
  .action(act(async (console, names: string[]) => (await import('./check.ts')).check(console, names)))
command('status', 'show how far each pipeline is')
  .argument('[pipelines...]')
  .action(act(async (console, names: string[]) => (await import('./status.ts')).status(console, names)))
command('follow', 'keep pipelines up to date until stopped')
  .argument('[pipelines...]')
  .option('--every <duration>', 'pause between runs', '30s')
  .action(act(async (console, names: string[], flags: { every: string }) => (await import('./follow.ts')).follow(console, names, flags)))

const watermark = program.command('watermark').description('look at and move watermarks').exitOverride()
command('get', 'print the watermark', watermark)
  .argument('<pipeline>')
  .action(act(async (console, name: string) => (await import('./watermark.ts')).getWatermark(console, name)))
command('history', 'print every commit, newest first', watermark)
  .argument('<pipeline>')
  .action(act(async (console, name: string) => (await import('./watermark.ts')).watermarkHistory(console, name)))
command('set', 'set the watermark', watermark)
  .argument('<pipeline>')
  .argument('<value>')
  .action(act(async (console, name: string, value: string) => (await import('./watermark.ts')).moveWatermark(console, name, value, 'set')))
command('rewind', 'move the watermark back', watermark)
  .argument('<pipeline>')
  .requiredOption('--to <value>', 'where to')
  .action(
    act(async (console, name: string, flags: { to: string }) =>
      (await import('./watermark.ts')).moveWatermark(console, name, flags.to, 'rewind'),
    ),
  )

const partitions = program.command('partitions').description('look at partitions, and load chosen ones').exitOverride()
command('list', 'print the ledger of partitions', partitions)
  .argument('<pipeline>')
  .option('--status <status>', 'only planned, running, committed or failed ones')
  .option('--from <bound>', 'only those that end after this bound')
  .option('--to <bound>', 'only those that begin before this bound')
  .action(act(async (console, name: string, flags: object) => (await import('./partitions.ts')).listPartitions(console, name, flags)))
command('retry', 'load what is missing or failed, and nothing else', partitions)
  .argument('<pipeline>')
  .action(act(async (console, name: string) => (await import('./partitions.ts')).retryPartitions(console, name)))
command('reload', 'load chosen partitions again', partitions)
  .argument('<pipeline>')
  .argument('<keys...>')
  .action(act(async (console, name: string, keys: string[]) => (await import('./partitions.ts')).reloadPartitions(console, name, keys)))

const quarantine = program.command('quarantine').description('look at rows that a target refused, and try them again').exitOverride()
command('list', 'print what is kept, and why it was refused', quarantine)
  .argument('<pipeline>')
  .action(act(async (console, name: string) => (await import('./quarantine.ts')).listQuarantine(console, name)))
command('replay', 'put kept rows into their tables; those that are refused again stay', quarantine)
  .argument('<pipeline>')
  .argument('[ids...]', 'only these, as in the list; default: all')
  .action(act(async (console, name: string, ids: string[]) => (await import('./quarantine.ts')).replayQuarantine(console, name, ids)))
command('discard', 'forget kept rows for good', quarantine)
  .argument('<pipeline>')
  .argument('<ids...>')
  .action(act(async (console, name: string, ids: string[]) => (await import('./quarantine.ts')).discardQuarantine(console, name, ids)))

const connector = program.command('connector').description('the Debezium connector of a pipeline, in Kafka Connect').exitOverride()
command('register', 'set it up with safe settings, or change it to them; shows the difference and asks', connector)
  .argument('<pipeline>')
  .action(act(async (console, name: string) => (await import('./connector.ts')).registerConnector(console, name)))
command('status', 'show its state, and that of each of its tasks', connector)
  .argument('<pipeline>')
  .action(act(async (console, name: string) => (await import('./connector.ts')).connectorStatus(console, name)))
for (const [order, description] of [
  ['pause', 'let it rest; its slot keeps the log'],
  ['resume', 'let it go on, also after a stop'],
  ['restart', 'start it and all its tasks again'],
] as const)
  command(order, description, connector)
    .argument('<pipeline>')
    .action(act(async (console, name: string) => (await import('./connector.ts')).orderConnector(console, name, order)))
command('remove', 'remove it and what Kafka Connect remembers of it; slot and publication stay', connector)
  .argument('<pipeline>')
  .action(act(async (console, name: string) => (await import('./connector.ts')).removeConnector(console, name)))

command('convert', 'hand a pipeline over to another pattern')
  .argument('<pipeline>')
  .addOption(new Option('--to <pattern>', 'the pattern').choices(['cdc', 'watermark']).makeOptionMandatory())
  .option('--cursor <column>', 'what the watermark goes by')
  .action(act(async (console, name: string, flags: ConvertFlags) => (await import('./convert.ts')).convert(console, name, flags)))

command('drop', 'remove what a pipeline made at its source, and its state; data stay')
  .argument('<pipeline>')
  .action(act(async (console, name: string) => (await import('./drop.ts')).drop(console, name)))

command('init', 'write a starter project file from the tables behind a URL')
  .argument('[url]')
  .action(act(async (console, url: string | undefined) => (await import('./init.ts')).init(console, url)))
command('demo', 'see it work, on a real Postgres of its own').action(act(async (console) => (await import('./demo.ts')).demo(console)))
command('schema', 'print the JSON Schema of the project file').action(act(async () => (await import('./reference.ts')).schema()))
command('errors', 'explain errors')
  .argument('[code]')
  .action(act(async (console, code: string | undefined) => (await import('./reference.ts')).errors(console, code)))

try {
  await program.parseAsync()
} catch (error) {
  if (!(error instanceof CommanderError)) throw error
  // Commander has said what is wrong. Help and version are no errors.
  exitCode = error.exitCode === 0 ? 0 : 2
}
process.exitCode = exitCode
