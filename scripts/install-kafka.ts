// Puts Kafka, Kafka Connect and Debezium into the user's cache folder, by Maven, for the tests that start them. Where they are already,
// it does nothing. Made aside and renamed in one step: a folder that is there is whole, whoever else installs meanwhile. With --jdbc-sink
// also Debezium's JDBC sink connector, which only the benchmarks need.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { findJava, jdbcConnectorHome, KAFKA_POM, kafkaHome } from '../src/testing/kafka-installation.ts'
import { brokerSettings, clusterId, printSettings } from '../src/testing/kafka-settings.ts'

const PACKAGES = ['openjdk-17-jre-headless', 'maven']
const ATTEMPTS = 3

install('Kafka', kafkaHome(), (draft) => {
  fetchJars(draft, [])
  for (const [folder, name] of [
    ['libs', 'kafka_2.13-'],
    ['libs', 'connect-runtime-'],
    ['plugins', 'debezium-connector-postgres'],
  ] as const)
    checkFetched(draft, folder, name)
  format(draft)
})
if (process.argv.includes('--jdbc-sink'))
  install("Debezium's JDBC sink", jdbcConnectorHome(), (draft) => {
    fetchJars(draft, ['-Pjdbc-sink'])
    checkFetched(draft, 'plugins', 'debezium-connector-jdbc')
  })

function install(what: string, home: string, fill: (draft: string) => void): void {
  if (existsSync(home)) {
    console.log(`${what} is installed in ${home}.`)
    return
  }
  installPrograms()
  mkdirSync(dirname(home), { recursive: true })
  const draft = mkdtempSync(`${home}-`)
  try {
    fill(draft)
    try {
      renameSync(draft, home)
    } catch (error) {
      // Somebody else was faster, with the same files.
      if (!existsSync(home)) throw error
    }
    console.log(`${what} is now installed in ${home}.`)
  } finally {
    rmSync(draft, { recursive: true, force: true })
  }
}

function installPrograms(): void {
  if (works(findJava(), '-version') && works('mvn', '-version')) return
  const commands = [
    ['apt-get', 'update'],
    ['apt-get', 'install', '--yes', '--no-install-recommends', ...PACKAGES],
  ]
  if (process.getuid?.() !== 0 || !works('apt-get', '--version')) {
    console.error(`Java 17 and Maven are needed. On Debian: sudo apt-get install ${PACKAGES.join(' ')}`)
    process.exit(1)
  }
  for (const [program = '', ...args] of commands)
    execFileSync(program, args, { stdio: 'inherit', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } })
}

function works(program: string, argument: string): boolean {
  try {
    execFileSync(program, [argument], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

function fetchJars(into: string, more: readonly string[]): void {
  // -U: Maven remembers for a day what it did not find once.
  const args = [
    '--batch-mode',
    '--no-transfer-progress',
    '--quiet',
    '-U',
    '--file',
    KAFKA_POM,
    `-Dinto=${into}`,
    ...more,
    'process-resources',
  ]
  for (let attempt = 1; ; attempt++) {
    try {
      execFileSync('mvn', args, { stdio: 'inherit' })
      break
    } catch (error) {
      if (attempt === ATTEMPTS) throw error
      console.error(`Maven failed; attempt ${attempt + 1} of ${ATTEMPTS} follows.`)
    }
  }
}

function checkFetched(into: string, folder: string, name: string): void {
  if (!readdirSync(join(into, folder)).some((file) => file.startsWith(name))) throw new Error(`Maven put no ${name}* into ${folder}.`)
}

/** Once here, since it takes a Java of its own: every broker of a test starts from a copy. */
function format(into: string): void {
  const folder = join(into, 'formatted')
  const settings = join(into, 'format.properties')
  writeFileSync(settings, printSettings(brokerSettings(folder, { broker: 9092, controller: 9093 })))
  const args = ['-cp', `${join(into, 'libs')}/*`, 'kafka.tools.StorageTool', 'format', '--cluster-id', clusterId(), '--config', settings]
  execFileSync(findJava(), args, { stdio: ['ignore', 'ignore', 'inherit'] })
  rmSync(settings)
}
