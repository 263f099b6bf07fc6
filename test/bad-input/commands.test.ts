// The same refusals as a user of the command line meets them: exit code, data on stdout, words on stderr, nothing else.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ERRORS } from '../../src/core/errors.ts'
import { freshRole } from '../servers/fresh-role.ts'
import { type CliResult, runCli } from '../servers/run-cli.ts'
import { checkError, checkText, GOODS, MORE_GOODS, PASSWORD, type Refusal, startGoods, succeed, targetContent } from './refusal.ts'

/** `-o json` was given: one object on stdout, and the same told on stderr. */
function checkRefusal(result: CliResult, refusal: Refusal): void {
  expect(result.exit, result.text).toBe(ERRORS[refusal.code].exit)
  const error = result.json?.error ?? result.json?.pipelines?.[0]?.error
  checkError(error, refusal)
  expect(result.err).toContain(`error [${refusal.code}]`)
  expect(result.err).toContain(error.message)
  checkText(result.text, refusal.hides)
}

const MOVE = ['watermark', 'set', 'goods', '2024-01-01 00:00:00+00']
const garbled: Refusal = { code: 'bad-value', names: ['"garbage"', '"updated_at"', 'timestamp with time zone'] }
const refusals: [args: readonly string[], refusal: Refusal][] = [
  [MOVE, { code: 'bad-usage', names: ['Nobody is there to answer', '--yes'] }],
  [['watermark', 'rewind', 'goods', '--to', '2999-01-01', '--yes'], { code: 'bad-usage', names: ['2999-01-01', 'goods', 'rewind'] }],
  [['watermark', 'set', 'goods', 'garbage', '--yes'], garbled],
  [['run', '--from', 'garbage'], garbled],
  [['run', '--to', 'garbage'], garbled],
  [['run', 'good'], { code: 'unknown-pipeline', names: ['"good"', 'Did you mean "goods"?'] }],
  [['status', 'unheard-of'], { code: 'unknown-pipeline', names: ['"unheard-of"', 'There are: goods'] }],
  [['run', '-c', 'elsewhere.yml'], { code: 'missing-project', names: ['elsewhere.yml'] }],
]

test('each is refused in one object and one line, and changes nothing', async () => {
  await using loading = await startGoods()
  await succeed(loading)
  await loading.source.run(MORE_GOODS)
  const before = await targetContent(loading)
  for (const [args, refusal] of refusals) {
    checkRefusal(await loading.cli(args), refusal)
    expect(await targetContent(loading), args.join(' ')).toEqual(before)
  }
  expect((await loading.cli([...MOVE, '--yes'])).exit).toBe(0)
})

test.each([
  [['run', '--max-slices', 'some'], '--max-slices'],
  [['run', '--no-such-option'], '--no-such-option'],
  [['no-such-command'], 'no-such-command'],
  [['watermark', 'set', 'goods'], 'value'],
])('%j can not be understood', async (args, named) => {
  const result = await runCli(tmpdir(), args)
  expect(result.exit, result.text).toBe(ERRORS['bad-usage'].exit)
  expect(result.out).toBe('')
  expect(result.err).toContain(named)
  checkText(result.text)
})

test('a folder without a project file', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-empty-'))
  try {
    checkRefusal(await runCli(folder, ['-o', 'json', 'run']), { code: 'missing-project', names: ['tidemark.yml', 'tidemark init'] })
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('two pipelines with one target table', async () => {
  await using loading = await startGoods()
  loading.pipelines({ goods: GOODS, wares: { source: { table: 'wares' }, target: { table: 'goods' } } })
  checkRefusal(await loading.cli(['run']), { code: 'shared-target', names: ['goods', 'wares', 'tidemark.yml:'] })
})

test.each(['run', 'plan', 'status', 'check'])('%s with a wrong password says so, and not the password', async (command) => {
  await using loading = await startGoods()
  await succeed(loading)
  await using role = await freshRole(loading.source, '', 'another one')
  const url = new URL(role.url)
  url.password = encodeURIComponent(PASSWORD)
  const result = await loading.cli(['-v', command], { [command === 'status' ? 'WAREHOUSE_URL' : 'SHOP_URL']: url.href })
  expect(result.exit, result.text).toBe(ERRORS['authentication-failed'].exit)
  expect(result.text).toContain('authentication-failed')
  expect(result.text).toContain(role.name)
  checkText(result.text)
})
