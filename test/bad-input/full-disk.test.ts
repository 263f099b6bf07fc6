// A disk without room for the DuckDB file: a small file system of its own where this user may mount one, else a limit on the size
// of files, whose signal ends the process. Either way nothing is half-written, and with room again all of it loads.

import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, inject, test } from 'vitest'
import { differences, same } from '../servers/compare-tables.ts'
import { type Loading, startLoading } from '../servers/loading.ts'
import { addOrders, makeOrders, ORDER_COLUMNS } from '../servers/orders-table.ts'

interface Narrow extends Disposable {
  readonly mounted: boolean
  /** Room for so many megabytes from now on. */
  resize(megabytes: number): void
}

function narrowDisk(folder: string): Narrow {
  mkdirSync(folder)
  const shell = (command: string): void => void execFileSync('/bin/sh', ['-c', command, folder], { stdio: 'ignore' })
  const mount = (options: string): void => shell(`mount -t tmpfs -o ${options} tmpfs "$0"`)
  try {
    mount('size=3m')
  } catch {
    return { mounted: false, resize() {}, [Symbol.dispose]() {} }
  }
  return {
    mounted: true,
    resize: (megabytes) => mount(`remount,size=${megabytes}m`),
    [Symbol.dispose]: () => shell('umount -l "$0"'),
  }
}

/** Files may grow to so many blocks of 512 bytes. */
function runLimited(loading: Loading, blocks: number | null): Promise<{ exit: number | null; text: string }> {
  const limit = blocks === null ? '' : `ulimit -f ${blocks}; `
  const child = spawn('/bin/sh', ['-c', `${limit}exec "$0" "$@"`, process.execPath, inject('cli'), '-o', 'json', 'run'], {
    cwd: loading.folder.path,
    env: { ...process.env, ...loading.env },
  })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (piece: string) => (text += piece))
  return new Promise((resolve) => child.once('close', (exit) => resolve({ exit, text })))
}

test('a full disk', async () => {
  await using loading = await startLoading({ target: 'duckdb' })
  const folder = join(loading.folder.path, 'disk')
  using disk = narrowDisk(folder)
  const file = join(folder, 'warehouse.duckdb')
  loading.pipelines({ orders: {} }, { warehouse: { type: 'duckdb', path: file } })
  await makeOrders(loading.source, 1000)
  expect((await loading.run()).error).toBeNull()
  await addOrders(loading.source, 1001, 120_000)
  // Texts that no compression makes small.
  await loading.source.run('UPDATE orders SET note = md5(id::text) || md5((id + 1)::text), updated_at = now() WHERE id > 1000')
  const before = await loading.state()

  const full = await runLimited(loading, disk.mounted ? null : 6000)
  if (disk.mounted) {
    expect(full.exit).toBe(3)
    expect(full.text).toContain('target-full')
    expect(full.text).toContain(file)
  } else expect(full.exit).not.toBe(0)
  expect((await loading.state())?.epoch).toBe(before?.epoch)
  expect(statSync(file).size).toBeGreaterThan(0)

  disk.resize(500)
  expect((await loading.run()).error).toBeNull()
  expect(await differences(loading.source, file, 'orders', { columns: ORDER_COLUMNS })).toEqual(same(120_000))
})
