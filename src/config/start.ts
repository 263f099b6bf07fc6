const NUMBER = /^[+-]?\d+(\.\d+)?$/
const TIME = /^(\d{4,6})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d)(?::(\d\d)(?:\.\d+)?)?)?\s?(?:Z|UTC|[+-]\d\d(?::?\d\d)?)?$/

/** Whether a text can be a cursor's value: a number, a date or a time. The source decides which of them it must be. */
export function isStart(text: string): boolean {
  if (NUMBER.test(text)) return true
  const match = TIME.exec(text)
  if (match === null) return false
  const [year, month, day, hour, minute, second] = match.slice(1).map((part) => Number(part ?? 0))
  const days = new Date(Date.UTC(year ?? 0, month ?? 0, 0)).getUTCDate()
  const validDate = (month ?? 0) >= 1 && (month ?? 0) <= 12 && (day ?? 0) >= 1 && (day ?? 0) <= days
  return validDate && (hour ?? 0) <= 24 && (minute ?? 0) <= 59 && (second ?? 0) <= 60
}
