import { expect, test } from 'vitest'
import { freshDatabase } from '../servers/fresh-database.ts'
import { freshRole } from '../servers/fresh-role.ts'
import { userFolder } from './built-command.ts'

const TABLES = `
  CREATE TABLE orders (id bigint PRIMARY KEY, created_at timestamptz, updated_at timestamptz NOT NULL DEFAULT now());
  CREATE TABLE customers (id int PRIMARY KEY, name text, "createdAt" timestamp NOT NULL DEFAULT now());
  CREATE TABLE counters (id int PRIMARY KEY, n int);
  CREATE TABLE "Odd Table" ("Id" bigint PRIMARY KEY, "lastModified" timestamptz);
  CREATE TABLE tags (tag text PRIMARY KEY);
  CREATE TABLE log (logged_at timestamptz, line text);
  CREATE SCHEMA crm; CREATE TABLE crm.orders (id uuid PRIMARY KEY, modified_on date NOT NULL);
  CREATE TABLE pipeline_watermarks (id int PRIMARY KEY, updated_at timestamptz);
  INSERT INTO orders (id) VALUES (1), (2); INSERT INTO "Odd Table" VALUES (1, NULL), (2, now());`

test('writes a project that passes check and loads', async () => {
  await using shop = await freshDatabase()
  await shop.run(TABLES)
  using folder = userFolder({ SOURCE_URL: shop.url })
  const made = await folder.tidemark(['init', '-o', 'json'])
  expect(made).toMatchObject({ exit: 0 })
  const cursors = made.json.pipelines.map((one: { table: string; cursor: string | null }) => [one.table, one.cursor])
  expect(Object.fromEntries(cursors)).toMatchObject({
    'public.orders': 'updated_at',
    'public.customers': 'createdAt',
    'public.counters': 'id',
    'public."Odd Table"': 'lastModified',
    'public.tags': null,
    'crm.orders': 'modified_on',
  })
  expect(folder.read('tidemark.yml')).toContain('# Not loaded yet: it has no primary key')
  expect(await folder.tidemark(['check', '-o', 'json'])).toMatchObject({ exit: 0, json: { ok: true } })
  expect(await folder.tidemark(['run', '-o', 'json'])).toMatchObject({ exit: 0, json: { ok: true } })
})

test('a password is neither written nor printed, and the message says who may have seen it', async () => {
  await using shop = await freshDatabase()
  await shop.run('CREATE TABLE t (id int PRIMARY KEY)')
  await using role = await freshRole(shop, 'GRANT SELECT ON t TO ROLE', 's3kret/word')
  using folder = userFolder({ SOURCE_URL: undefined, DATABASE_URL: undefined })
  const { exit, out, err } = await folder.tidemark(['init', role.url])
  expect(exit).toBe(0)
  const all = out + err + folder.read('tidemark.yml')
  expect(all).not.toMatch(/s3kret|word'/)
  expect(folder.read('tidemark.yml')).toContain('url: "${env:SOURCE_URL}"')
  expect(err).toMatch(/list the\nprocesses/)
  expect(err).toContain('export SOURCE_URL=')
})

test('an unreadable table is a comment that says how to grant it', async () => {
  await using shop = await freshDatabase()
  await shop.run('CREATE TABLE mine (id int PRIMARY KEY); CREATE TABLE secret (id int PRIMARY KEY)')
  await using role = await freshRole(shop, 'GRANT SELECT ON mine TO ROLE')
  using folder = userFolder({ SOURCE_URL: undefined, DATABASE_URL: role.url })
  expect(await folder.tidemark(['init'])).toMatchObject({ exit: 0 })
  const text = folder.read('tidemark.yml')
  expect(text).toContain('url: "${env:DATABASE_URL}"')
  expect(text).toMatch(/# Not loaded yet: .*GRANT SELECT ON "public"."secret"/)
  expect(await folder.tidemark(['check'])).toMatchObject({ exit: 0 })
})

test('refuses to overwrite, and to guess', async () => {
  using folder = userFolder({ SOURCE_URL: undefined, DATABASE_URL: undefined })
  folder.write('tidemark.yml', 'mine')
  expect(await folder.tidemark(['init', 'postgresql://localhost/x'])).toMatchObject({
    exit: 2,
    err: expect.stringContaining('is there already'),
  })
  expect(folder.read('tidemark.yml')).toBe('mine')
  expect(await folder.tidemark(['init', '-c', 'other.yml'])).toMatchObject({ exit: 2, err: expect.stringContaining('SOURCE_URL') })
  expect(await folder.tidemark(['init', '-c', 'other.yml', 'nonsense'])).toMatchObject({ exit: 2 })
  expect(await folder.tidemark(['init', '-c', 'other.yml', 'postgresql://127.0.0.1:1/x'])).toMatchObject({ exit: 3 })
  expect(folder.has('other.yml')).toBe(false)
})
