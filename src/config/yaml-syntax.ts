import type { ErrorCode } from 'yaml'

// The parser's own words for these quote the text, in which a password may stand.
const WORDS: Partial<Record<ErrorCode, string>> = {
  BAD_ALIAS: 'an alias (*name) has no anchor (&name) before it',
  BAD_DQ_ESCAPE: 'unknown escape in a text between double quotes; double the backslash, or use single quotes',
  BAD_SCALAR_START: 'a text that begins so must stand in quotes',
  BAD_DIRECTIVE: 'unknown directive',
  MULTIPLE_DOCS: 'the file holds more than one document (---); keep one',
  RESOURCE_EXHAUSTION: 'nested too deeply',
  TAB_AS_INDENT: "a tab can't indent; use spaces",
  TAG_RESOLVE_FAILED: 'tags (!…) are not used in project files; remove it',
  UNEXPECTED_TOKEN: 'unexpected text; a text with special characters must stand in quotes',
}

/** What is wrong with the YAML, without a word of what stands there. */
export function explainSyntax(code: ErrorCode, message: string): string {
  return `not valid YAML: ${WORDS[code] ?? firstClause(message)}`
}

function firstClause(message: string): string {
  const clause = message.split(/["'`:\n]/, 1)[0]?.trim() ?? ''
  return clause === '' ? 'unreadable' : clause.charAt(0).toLowerCase() + clause.slice(1)
}
