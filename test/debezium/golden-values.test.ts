// Are the golden texts what a real PostgreSQL prints, with the settings that our sessions pin?

import { expect, test } from 'vitest'
import { freshDatabase } from '../servers/fresh-database.ts'
import { GOLDEN_VALUES } from './golden-values.ts'

test('each golden text is what its type prints', async () => {
  await using database = await freshDatabase()
  const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`
  const texts = GOLDEN_VALUES.map(({ declared, text }) => `${literal(text)}::${declared}::text`)
  await database.run("SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; SET extra_float_digits = 3")
  await database.run("SET bytea_output = 'hex'; SET lc_monetary = 'C'")
  const rows = await database.rows(`SELECT unnest(ARRAY[${texts.join(',')}]) AS text`)
  expect(rows.map(({ text }) => text)).toEqual(GOLDEN_VALUES.map(({ text }) => text))
})
