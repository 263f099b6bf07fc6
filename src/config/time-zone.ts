import { nearest } from './nearest.ts'

/** What is wrong with the name of a time zone; null where it is known. */
export function wrongTimeZone(name: string): string | null {
  if (name === 'UTC') return null
  // PostgreSQL reads the sign of a bare offset the other way round than everybody else.
  if (!/^[A-Za-z]/.test(name)) return 'is no time zone; name one, such as UTC or Europe/Berlin'
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return null
  } catch {
    const meant = nearest(name, ['UTC', ...Intl.supportedValuesOf('timeZone')])
    return meant === null
      ? 'is no known time zone; write it like Europe/Berlin'
      : `is no known time zone; did you mean ${JSON.stringify(meant)}?`
  }
}
