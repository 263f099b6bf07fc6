// A real Kafka for a test, of one broker, and with it Kafka Connect with Debezium where it is asked for: free ports, a folder of its
// own, gone with the process that started it. Always: a watchdog process ends the servers and removes their folder when this process is
// gone, however it went.

import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, cpSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { freePort } from './free-port.ts'
import { findKafka, type KafkaInstallation } from './kafka-installation.ts'
import { brokerSettings, connectSettings, loggingSettings, metaProperties, printSettings, type Settings } from './kafka-settings.ts'

export interface KafkaOptions {
  /** Starts Kafka Connect too; `exactly-once` lets its connectors write in transactions. */
  readonly connect?: boolean | 'exactly-once'
  /** Of the broker, in place of the harness's own. */
  readonly settings?: Settings
  /** More folders of connectors for Connect. */
  readonly plugins?: readonly string[]
  /** Connect works for long and is measured: the memory and the compiler that it has where it is used in earnest. */
  readonly measured?: boolean
}

/** `kill` ends the process by SIGKILL, as a power failure would. */
export type KafkaStopMode = 'stop' | 'kill'

export interface KafkaStack extends AsyncDisposable {
  /** host:port, for clients. */
  readonly brokers: readonly string[]
  /** All that it has on disk. */
  readonly folder: string
  /** Throws where Connect was not asked for. */
  readonly connectUrl: string
  /** The topics stay for `startBroker`. */
  stopBroker(mode?: KafkaStopMode): Promise<void>
  /** Again, on the same port and data; ready for clients when it resolves. */
  startBroker(): Promise<void>
  stopConnect(mode?: KafkaStopMode): Promise<void>
  startConnect(): Promise<void>
  /** What the server has said so far. */
  log(server: 'broker' | 'connect'): string
}

const BROKER_MEGABYTES = 256
const CONNECT_MEGABYTES = 512
/** In a short life the second compiler costs more than it gives. */
const SHORT_LIVED = ['-XX:TieredStopAtLevel=1']
/** Two Javas that start on a busy machine of two cores take a third of it. */
const PATIENCE_MS = 90_000

/** Ready for clients when it resolves. `await using kafka = await startKafka()` removes it at the end of the block. */
export async function startKafka(options: KafkaOptions = {}): Promise<KafkaStack> {
  const installation = findKafka()
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-kafka-'))
  const watchdog = startWatchdog(folder)
  const stack = new Stack(installation, folder, watchdog, options)
  try {
    cpSync(installation.formatted, join(folder, 'data'), { recursive: true })
    writeFileSync(join(folder, 'data', 'meta.properties'), metaProperties())
    writeFileSync(join(folder, 'log4j2.properties'), loggingSettings())
    await retryWhereTaken(() => stack.moveBroker())
    if (options.connect) await retryWhereTaken(() => stack.moveConnect())
    return stack
  } catch (error) {
    await stack[Symbol.asyncDispose]()
    throw error
  }
}

class Stack implements KafkaStack {
  readonly folder: string
  readonly #watchdog: ChildProcess
  readonly #options: KafkaOptions
  readonly #installation: KafkaInstallation
  readonly #broker: JavaServer
  readonly #connect: JavaServer
  #brokerPort = 0
  #connectPort = 0

  constructor(installation: KafkaInstallation, folder: string, watchdog: ChildProcess, options: KafkaOptions) {
    this.folder = folder
    this.#watchdog = watchdog
    this.#options = options
    this.#installation = installation
    const compiler = options.measured ? [] : SHORT_LIVED
    const [brokerMemory, connectMemory] = options.measured ? [512, 1024] : [BROKER_MEGABYTES, CONNECT_MEGABYTES]
    this.#broker = new JavaServer(installation, folder, 'broker', 'kafka.Kafka', [`-Xmx${brokerMemory}m`, ...compiler])
    const connect = 'org.apache.kafka.connect.cli.ConnectDistributed'
    this.#connect = new JavaServer(installation, folder, 'connect', connect, [`-Xmx${connectMemory}m`, ...compiler])
  }

  get brokers(): readonly string[] {
    return [`127.0.0.1:${this.#brokerPort}`]
  }

  get connectUrl(): string {
    if (this.#connectPort === 0) throw new Error('This Kafka was started without Connect: startKafka({ connect: true }).')
    return `http://127.0.0.1:${this.#connectPort}`
  }

  /** To ports that are free now. */
  async moveBroker(): Promise<void> {
    this.#brokerPort = await freePort()
    const ports = { broker: this.#brokerPort, controller: await freePort() }
    this.#broker.configure({ ...brokerSettings(join(this.folder, 'data'), ports), ...this.#options.settings })
    await this.startBroker()
  }

  async moveConnect(): Promise<void> {
    this.#connectPort = await freePort()
    const plugins = [this.#installation.plugins, ...(this.#options.plugins ?? [])].join()
    const exactlyOnce = this.#options.connect === 'exactly-once'
    this.#connect.configure(connectSettings({ broker: this.#brokerPort, port: this.#connectPort, plugins, exactlyOnce }))
    await this.startConnect()
  }

  startBroker(): Promise<void> {
    return this.#broker.start(async (said) => said.includes('Kafka Server started'))
  }

  stopBroker(mode: KafkaStopMode = 'stop'): Promise<void> {
    return this.#broker.stop(mode)
  }

  startConnect(): Promise<void> {
    const url = `${this.connectUrl}/health`
    // Nobody listens yet: that is no error, but not ready.
    return this.#connect.start(() =>
      fetch(url).then(
        ({ ok }) => ok,
        () => false,
      ),
    )
  }

  stopConnect(mode: KafkaStopMode = 'stop'): Promise<void> {
    return this.#connect.stop(mode)
  }

  log(server: 'broker' | 'connect'): string {
    return (server === 'broker' ? this.#broker : this.#connect).log()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#connect.stop('kill'), this.#broker.stop('kill')])
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 })
    this.#watchdog.stdin?.end()
  }
}

class JavaServer {
  readonly #installation: KafkaInstallation
  readonly #folder: string
  readonly #name: string
  readonly #program: string
  readonly #java: readonly string[]
  #child: ChildProcess | null = null
  #exited: Promise<void> = Promise.resolve()

  constructor(installation: KafkaInstallation, folder: string, name: string, program: string, java: readonly string[]) {
    this.#installation = installation
    this.#folder = folder
    this.#name = name
    this.#program = program
    this.#java = java
  }

  configure(settings: Settings): void {
    writeFileSync(this.#file('properties'), printSettings(settings))
  }

  log(): string {
    const file = this.#file('log')
    return existsSync(file) ? readFileSync(file, 'utf8') : ''
  }

  /** `isReady` is asked again and again, with what the server has said since this start. */
  async start(isReady: (said: string) => Promise<boolean>): Promise<void> {
    if (this.#child !== null) throw new Error(`The ${this.#name} runs already.`)
    const before = this.log().length
    const exited = this.#launch()
    let alive = true
    const ended = exited.then(() => {
      alive = false
    })
    this.#exited = ended
    const deadline = Date.now() + PATIENCE_MS
    while (alive && Date.now() < deadline) {
      if (await isReady(this.log().slice(before))) return
      await Promise.race([pause(100), ended])
    }
    const why = alive ? `is not ready after ${PATIENCE_MS / 1000} s` : 'did not start'
    await this.stop('kill')
    throw new Error(`The ${this.#name} ${why}:\n${this.log().slice(before).trim().slice(-4000)}`)
  }

  /** The shell writes down its process id, which is then Java's: the watchdog knows it whatever becomes of us. */
  #launch(): Promise<void> {
    const { java, libs } = this.#installation
    const log = openSync(this.#file('log'), 'a')
    const options = [
      ...this.#java,
      '-XX:+UseSerialGC',
      '-Djava.awt.headless=true',
      `-Dlog4j2.configurationFile=${join(this.#folder, 'log4j2.properties')}`,
    ]
    const command = [java, ...options, '-cp', `${libs}/*`, this.#program, this.#file('properties')]
    const child = spawn('/bin/sh', ['-c', 'echo $$ > "$0" && exec "$@"', this.#file('pid'), ...command], {
      cwd: this.#folder,
      detached: true,
      stdio: ['ignore', log, log],
    })
    closeSync(log)
    child.unref()
    this.#child = child
    return new Promise((resolve) => {
      child.once('exit', () => resolve())
      child.once('error', () => resolve())
    })
  }

  async stop(mode: KafkaStopMode): Promise<void> {
    const child = this.#child
    if (child === null) return
    this.#child = null
    child.kill(mode === 'kill' ? 'SIGKILL' : 'SIGTERM')
    // Unreferenced, the child would not keep this process waiting for its end.
    const waiting = setInterval(() => {}, 1000)
    await this.#exited
    clearInterval(waiting)
    rmSync(this.#file('pid'), { force: true })
  }

  #file(ending: string): string {
    return join(this.#folder, `${this.#name}.${ending}`)
  }
}

/** The port was free a moment ago; another process may have been faster. */
async function retryWhereTaken(move: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await move()
      return
    } catch (error) {
      if (attempt === 5 || !/Address already in use|BindException/.test(String(error))) throw error
    }
  }
}

/** A shell that waits for our end of its pipe to close. */
function startWatchdog(folder: string): ChildProcess {
  const script = `read -r _
for file in "$0"/*.pid; do kill -KILL "$(cat "$file")" 2>/dev/null; done
for i in 1 2 3 4 5 6 7 8 9 10; do rm -rf "$0"; sleep 0.2; [ -e "$0" ] || break; done`
  const watchdog = spawn('/bin/sh', ['-c', script, folder], { cwd: '/', detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  watchdog.unref()
  ;(watchdog.stdin as unknown as { unref(): void }).unref()
  return watchdog
}
