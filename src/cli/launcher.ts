// The first file that runs, kept to what every Node understands: an old one gets a sentence, not a SyntaxError.

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 18)) {
  process.stderr.write(`tidemark needs Node 22.18 or newer; this is ${process.versions.node}.\n`)
  process.exit(3)
}

const { enableCompileCache } = await import('node:module')
enableCompileCache()
// Built beside this file, and named so that no bundler follows it.
const command = './command.js'
await import(command)

export {}
