/** Seconds in a text such as `10s`, `5m`, `1h30m` or `250ms`; null when it can't be read. A bare number has no unit and is refused. */
export function parseDuration(text: string): number | null {
  const number = String.raw`(\d{1,9}(?:\.\d{1,6})?)`
  const form = new RegExp(`^(?:${number}d)?(?:${number}h)?(?:${number}m(?!s))?(?:${number}s)?(?:${number}ms)?$`)
  const match = form.exec(text.trim())
  if (match === null || match[0] === '') return null
  const [days, hours, minutes, seconds, milliseconds] = match.slice(1).map((part) => Number(part ?? 0))
  const whole = (days ?? 0) * 86_400 + (hours ?? 0) * 3_600 + (minutes ?? 0) * 60 + (seconds ?? 0)
  return (whole * 1_000 + (milliseconds ?? 0)) / 1_000
}
