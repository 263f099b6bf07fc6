// Names. Snowflake tells "id" from ID; DuckDB, which does the arithmetic underneath, does not. So every lower-case letter of a name is
// marked before DuckDB sees it, and the mark is taken off what DuckDB says.

const MARK = '\u001f'

/** A name that no statement can write, for columns of our own beside those of a table. */
export const ROW = '\u001erow'

export function quote(name: string): string {
  return `"${encode(name).replaceAll('"', '""')}"`
}

function encode(name: string): string {
  return name.replace(/[a-z]/g, (letter) => MARK + letter)
}

export function decode(name: string): string {
  return name.replaceAll(MARK, '')
}

export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

/** As Snowflake prints a name in a message or a statement: quoted where it must be. */
export function printed(name: string): string {
  return /^[A-Z_][A-Z0-9_$]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`
}
