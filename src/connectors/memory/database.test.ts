import { expect, test } from 'vitest'
import { MemoryDatabase, type MemoryTable, placeOf, type Value, valueAt } from './database.ts'
import { Transaction } from './transaction.ts'

const TEXT = { kind: 'text' } as const

function open(): { database: MemoryDatabase; table: MemoryTable; see: () => readonly Value[] } {
  const database = new MemoryDatabase()
  const columns = [
    { name: 'id', type: TEXT },
    { name: 'v', type: TEXT },
  ]
  const table = database.createTable('t', columns, ['id'])
  const see = (): readonly Value[] => {
    const snapshot = database.snapshot()
    return table.versions.flatMap((version) => (database.isVisible(version, snapshot) ? [valueAt(table, version, 1)] : []))
  }
  return { database, table, see }
}

test('nothing is seen before it is committed, and a snapshot does not change', () => {
  const { database, table, see } = open()
  const writing = new Transaction(database)
  writing.insert(table, { id: 'a', v: '1' })
  expect(see()).toEqual([])
  const before = database.snapshot()
  writing.commit()
  expect(see()).toEqual(['1'])
  expect(table.versions.filter((version) => database.isVisible(version, before))).toEqual([])
})

test('a savepoint that is rolled back leaves the rest', () => {
  const { database, table, see } = open()
  const writing = new Transaction(database)
  writing.insert(table, { id: 'a', v: '1' })
  writing.savepoint()
  writing.update(table, { id: 'a' }, { v: '2' })
  writing.rollbackToSavepoint()
  writing.savepoint()
  writing.insert(table, { id: 'b', v: '3' })
  writing.releaseSavepoint()
  writing.commit()
  expect(see()).toEqual(['1', '3'])
})

test('rows written after a savepoint have a number of their own, above the transaction that holds the horizon', () => {
  const { database, table } = open()
  const writing = new Transaction(database)
  writing.savepoint()
  writing.insert(table, { id: 'a', v: '1' })
  expect(table.versions[0]?.xmin).toBeGreaterThan(writing.topXid())
  expect(database.oldestRunning()).toBe(writing.topXid())
})

test('a prepared transaction holds the horizon until it ends', () => {
  const { database, table, see } = open()
  const writing = new Transaction(database)
  writing.insert(table, { id: 'a', v: '1' })
  writing.prepare()
  expect([...database.unfinished].map(({ state }) => state)).toEqual(['prepared'])
  expect(database.oldestRunning()).toBe(writing.topXid())
  writing.commit()
  expect(database.oldestRunning()).toBe(database.nextXid)
  expect(see()).toEqual(['1'])
})

test('a row that another transaction holds is not written, and a rollback frees it', () => {
  const { database, table, see } = open()
  const first = new Transaction(database)
  first.insert(table, { id: 'a', v: '1' })
  first.commit()
  const holder = new Transaction(database)
  const other = new Transaction(database)
  expect(holder.remove(table, { id: 'a' })).toBe(true)
  expect(other.update(table, { id: 'a' }, { v: '2' })).toBe(false)
  expect(other.insert(table, { id: 'a', v: '2' })).toBe(false)
  holder.rollback()
  expect(other.update(table, { id: 'a' }, { v: '2' })).toBe(true)
  other.commit()
  expect(see()).toEqual(['2'])
})

test('a new column shows its default in older rows; dropped and renamed ones keep their place', () => {
  const { database, table } = open()
  const writing = new Transaction(database)
  writing.insert(table, { id: 'a', v: '1' })
  expect(database.isFree(table)).toBe(false)
  writing.commit()
  expect(database.isFree(table)).toBe(true)
  database.addColumn(table, { name: 'x', type: TEXT, missing: 'default' })
  database.renameColumn(table, 'x', 'y')
  database.dropColumn(table, 'v')
  const [version] = table.versions
  expect(version && valueAt(table, version, placeOf(table, 'y'))).toBe('default')
  expect([placeOf(table, 'v'), placeOf(table, 'x')]).toEqual([-1, -1])
})
