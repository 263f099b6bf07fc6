/** Breaks a line between words so that it fits; what follows is indented as the line itself, and a little more. */
export function wrap(line: string, columns: number): readonly string[] {
  if (line.length <= columns) return [line]
  const indent = `${/^ */.exec(line)?.[0] ?? ''}    `
  const lines: string[] = []
  let rest = line
  while (rest.length > columns) {
    const space = rest.lastIndexOf(' ', columns)
    const at = space > indent.length ? space : columns
    lines.push(rest.slice(0, at).trimEnd())
    rest = indent + rest.slice(at).trimStart()
  }
  return [...lines, rest]
}
