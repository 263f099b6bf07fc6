// A real Postgres for a test or a demonstration: a free port, a folder of its own, gone with the process that started it.
// As root it runs under another user, since Postgres refuses root. Always: a watchdog process ends the server and removes its
// folder when this process is gone, however it went; no signal handlers are needed.

import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, chownSync, closeSync, existsSync, mkdtempSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { appendFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { freePort } from './free-port.ts'
import { findPostgres, type PostgresBinaries } from './postgres-binaries.ts'
import {
  copyDataDirectory,
  ENVIRONMENT,
  makeDataDirectory,
  reachable,
  runnableBy,
  type User,
  unprivilegedUser,
} from './postgres-data-directory.ts'
import { runStatement } from './postgres-statement.ts'

export type Setting = string | number | boolean
/** `kill` ends the main process by SIGKILL, as a power failure would. */
export type StopMode = 'smart' | 'fast' | 'immediate' | 'kill'

export interface PostgresOptions {
  /** Major version; default: whichever is found first. */
  readonly version?: number
  readonly settings?: Readonly<Record<string, Setting>>
  /** Lines of pg_hba.conf that come before the default ones. */
  readonly hba?: readonly string[]
  /** PEM texts; turns TLS on. `ca` verifies clients' certificates. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca?: string }
  /** Where fresh data directories are kept to be copied by later starts; default: $TIDEMARK_PG_TEMPLATES, or none. */
  readonly templates?: string
  /** A stopped server of the same version, whose data it begins with and whose log it follows. */
  readonly standbyOf?: Pick<PostgresServer, 'version' | 'port' | 'dataDirectory'>
}

export interface PostgresServer extends AsyncDisposable {
  readonly port: number
  readonly version: number
  readonly dataDirectory: string
  /** Of the main process; another one after `restart`. */
  readonly pid: number
  /** Over TCP on 127.0.0.1. `postgres` is the superuser and needs no password; others need theirs. */
  url(database?: string, user?: string, password?: string): string
  createDatabase(name: string): Promise<void>
  /** One statement as superuser in `database`, whatever pg_hba.conf says of TCP. */
  execute(sql: string, database?: string): Promise<void>
  /** The server's log so far. */
  log(): string
  /** The data stay for `restart`; disposing removes them. Default `fast`. */
  stop(mode?: StopMode): Promise<void>
  /** Stops it if it runs, and starts it again on the same port and data. */
  restart(mode?: StopMode): Promise<void>
}

const SIGNALS = { smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT', kill: 'SIGKILL' } as const

/** Ready for connections when it resolves. `await using server = await startPostgres()` removes it at the end of the block. */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const user = process.getuid?.() === 0 ? unprivilegedUser() : null
  const folder = mkdtempSync(join(user && !reachable(tmpdir()) ? '/tmp' : tmpdir(), 'tidemark-pg-'))
  const watchdog = startWatchdog(folder)
  try {
    chmodSync(folder, 0o755)
    if (user) chownSync(folder, user.uid, user.gid)
    const { standbyOf } = options
    const binaries = runnableBy(user, findPostgres(standbyOf?.version ?? options.version), folder)
    if (standbyOf !== undefined) await copyDataDirectory(standbyOf.dataDirectory, folder)
    else await makeDataDirectory(binaries, folder, user, options.templates ?? process.env.TIDEMARK_PG_TEMPLATES)
    const server = new Server(binaries, folder, user, watchdog)
    for (let attempt = 1; ; attempt++) {
      await server.configure(await freePort(), options)
      try {
        await server.start()
        return server
      } catch (error) {
        // The port was free a moment ago; another process may have been faster.
        if (attempt === 5 || !/Address already in use/.test(server.log())) throw error
      }
    }
  } catch (error) {
    watchdog.stdin?.end()
    throw error
  }
}

/** A standby that follows the primary at once. The primary is stopped meanwhile: open connections to it break. */
export async function startStandby(primary: PostgresServer, settings: PostgresOptions['settings'] = {}): Promise<PostgresServer> {
  await primary.stop()
  const standby = await startPostgres({ settings, standbyOf: primary })
  await primary.restart()
  return standby
}

class Server implements PostgresServer {
  port = 0
  pid = 0
  readonly version: number
  readonly dataDirectory: string
  readonly #binaries: PostgresBinaries
  readonly #folder: string
  readonly #user: User | null
  readonly #watchdog: ChildProcess
  #exited: Promise<void> = Promise.resolve()

  constructor(binaries: PostgresBinaries, folder: string, user: User | null, watchdog: ChildProcess) {
    this.version = binaries.version
    this.dataDirectory = join(folder, 'data')
    this.#binaries = binaries
    this.#folder = folder
    this.#user = user
    this.#watchdog = watchdog
  }

  async configure(port: number, options: PostgresOptions): Promise<void> {
    this.port = port
    const { tls, standbyOf } = options
    const files: Record<string, string> = tls
      ? { 'server.crt': tls.cert, 'server.key': tls.key, ...(tls.ca === undefined ? {} : { 'root.crt': tls.ca }) }
      : {}
    for (const [name, text] of Object.entries(files)) this.#write(name, text)
    const encrypted: Record<string, Setting> = tls ? { ssl: true, ...(tls.ca === undefined ? {} : { ssl_ca_file: 'root.crt' }) } : {}
    const following: Record<string, Setting> = standbyOf
      ? { primary_conninfo: `host=127.0.0.1 port=${standbyOf.port} user=postgres dbname=postgres`, wal_retrieve_retry_interval: '100ms' }
      : {}
    if (standbyOf) this.#write('standby.signal', '')
    const settings = { ...defaultSettings(port, this.#folder), ...encrypted, ...following, ...options.settings }
    const lines = Object.entries(settings).map(([name, value]) => `${name} = ${settingText(value)}`)
    await appendFile(join(this.dataDirectory, 'postgresql.conf'), `\n${lines.join('\n')}\n`)
    this.#write('pg_hba.conf', hbaLines(options.hba ?? []))
  }

  async start(): Promise<void> {
    const deadline = Date.now() + 30_000
    while (!(await this.#launch(deadline))) await pause(100)
  }

  /** False where the last life's orphans still hold its memory: they are on their way out. */
  async #launch(deadline: number): Promise<boolean> {
    const log = openSync(join(this.#folder, 'log'), 'a')
    const before = this.log().length
    const child = spawn(join(this.#binaries.folder, 'postgres'), ['-D', this.dataDirectory], {
      ...this.#user,
      cwd: this.#folder,
      env: ENVIRONMENT,
      detached: true,
      stdio: ['ignore', log, log],
    })
    closeSync(log)
    let alive = true
    this.#exited = new Promise((resolve) => {
      const gone = () => {
        alive = false
        resolve()
      }
      child.once('exit', gone)
      child.once('error', gone)
    })
    child.unref()
    this.pid = child.pid ?? 0
    while (alive && Date.now() < deadline) {
      if (isReady(this.dataDirectory, this.pid)) return true
      await pause(10)
    }
    if (alive) child.kill('SIGKILL')
    const said = this.log().slice(before)
    if (Date.now() < deadline && /pre-existing shared memory block|lock file .* already exists/.test(said)) return false
    throw new Error(`Postgres ${this.version} did not start:\n${said.trim()}`)
  }

  url(database = 'postgres', user = 'postgres', password?: string): string {
    const secret = password === undefined ? '' : `:${encodeURIComponent(password)}`
    return `postgres://${encodeURIComponent(user)}${secret}@127.0.0.1:${this.port}/${encodeURIComponent(database)}`
  }

  createDatabase(name: string): Promise<void> {
    return this.execute(`CREATE DATABASE "${name.replaceAll('"', '""')}"`)
  }

  execute(sql: string, database = 'postgres'): Promise<void> {
    return runStatement({ path: join(this.#folder, `.s.PGSQL.${this.port}`) }, sql, 'postgres', database)
  }

  log(): string {
    const file = join(this.#folder, 'log')
    return existsSync(file) ? readFileSync(file, 'utf8') : ''
  }

  async stop(mode: StopMode = 'fast'): Promise<void> {
    if (this.pid !== 0) signal(this.pid, SIGNALS[mode])
    this.pid = 0
    // Unreferenced, the child would not keep this process waiting for its end.
    const waiting = setInterval(() => {}, 1000)
    await this.#exited
    clearInterval(waiting)
  }

  async restart(mode: StopMode = 'fast'): Promise<void> {
    await this.stop(mode)
    await this.start()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('immediate')
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 })
    this.#watchdog.stdin?.end()
  }

  #write(name: string, text: string): void {
    const file = join(this.dataDirectory, name)
    writeFileSync(file, text, { mode: 0o600 })
    if (this.#user) chownSync(file, this.#user.uid, this.#user.gid)
  }
}

function defaultSettings(port: number, folder: string): Record<string, Setting> {
  return {
    port,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: folder,
    fsync: false,
    full_page_writes: false,
    wal_level: 'logical',
    max_wal_senders: 20,
    max_replication_slots: 20,
    max_prepared_transactions: 20,
    max_connections: 200,
    password_encryption: 'scram-sha-256',
    timezone: 'UTC',
    log_timezone: 'UTC',
  }
}

function settingText(value: Setting): string {
  if (typeof value === 'boolean') return value ? 'on' : 'off'
  return `'${String(value).replaceAll("'", "''")}'`
}

function hbaLines(first: readonly string[]): string {
  const trusted = ['127.0.0.1/32', '::1/128'].flatMap((address) =>
    ['all', 'replication'].map((what) => `host ${what} postgres ${address} trust`),
  )
  const others = ['127.0.0.1/32', '::1/128'].flatMap((address) =>
    ['all', 'replication'].map((what) => `host ${what} all ${address} scram-sha-256`),
  )
  return `${['local all postgres trust', ...first, ...trusted, ...others].join('\n')}\n`
}

/** Postgres writes `ready` into the eighth line of its pid file; cheaper than connecting. */
function isReady(dataDirectory: string, pid: number): boolean {
  try {
    const lines = readFileSync(join(dataDirectory, 'postmaster.pid'), 'utf8').split('\n')
    return lines[0] === String(pid) && lines[7]?.trim() === 'ready'
  } catch {
    return false
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** A shell that waits for our end of its pipe to close. An initdb that lives on may still write into the folder while it is removed. */
function startWatchdog(folder: string): ChildProcess {
  const script = `read -r _
pid=$(head -n 1 "$0/data/postmaster.pid" 2>/dev/null) && kill -QUIT "$pid" 2>/dev/null
for i in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$pid" 2>/dev/null || break; sleep 0.2; done
for i in 1 2 3 4 5 6 7 8 9 10; do rm -rf "$0"; sleep 0.2; [ -e "$0" ] || break; done`
  const watchdog = spawn('/bin/sh', ['-c', script, folder], { cwd: '/', detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  watchdog.unref()
  ;(watchdog.stdin as unknown as { unref(): void }).unref()
  return watchdog
}
