// The spelling that was probably meant. Never guesses across more than a third of the letters.

const LONGEST_WORD = 80

/** How many letters must be added, dropped, changed or swapped with their neighbour to make `b` of `a`. */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1]
      let best = Math.min((last[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1, (last[column - 1] ?? 0) + (same ? 0 : 1))
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1])
        best = Math.min(best, (beforeLast[column - 2] ?? 0) + 1)
      current.push(best)
    }
    beforeLast = last
    last = current
  }
  return last[b.length] ?? 0
}

/** The candidate closest to the word, or null where none is close; ties go to the first. */
export function nearest(word: string, candidates: Iterable<string>): string | null {
  if (word.length > LONGEST_WORD) return null
  const plain = (text: string): string => text.toLowerCase().replaceAll('-', '_')
  let found: string | null = null
  let foundDistance = Number.POSITIVE_INFINITY
  for (const candidate of candidates) {
    const allowed = Math.min(3, Math.max(1, Math.floor(candidate.length / 3)))
    if (Math.abs(candidate.length - word.length) > allowed) continue
    const distance = editDistance(plain(word), plain(candidate))
    if (distance <= allowed && distance < foundDistance) {
      found = candidate
      foundDistance = distance
    }
  }
  return found
}
