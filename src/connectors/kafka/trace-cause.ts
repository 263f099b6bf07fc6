/** The innermost cause of a Java stack trace, in one line; null for an empty one. */
export function traceCause(trace: string): string | null {
  const lines = trace.split('\n').map((line) => line.trim())
  const causes = lines.filter((line) => line.startsWith('Caused by:'))
  const last = causes.at(-1)?.slice('Caused by:'.length).trim() ?? lines.find((line) => line !== '') ?? ''
  if (last === '') return null
  // org.postgresql.util.PSQLException: ERROR: … → PSQLException: ERROR: …
  return last.replace(/^(?:[a-z_][\w$]*\.)+([A-Z][\w$]*)/, '$1')
}
