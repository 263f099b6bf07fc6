// Links in Markdown files: does the file exist, and the heading in it?

import { existsSync } from 'node:fs'
import { join, posix } from 'node:path'
import { ROOT, readText } from './source-files.ts'

/** Every link of the file that leads nowhere. Links to other hosts are not followed. */
export function brokenLinks(path: string): string[] {
  const text = readText(path).replace(/^(```|~~~)[\s\S]*?^\1/gm, '')
  const links = [...text.matchAll(/(?<!`)\[[^\]\n]*\]\(\s*<?([^)\s>]+)>?[^)]*\)|^\[[^\]]+\]:\s*(\S+)/gm)].map(
    (match) => match[1] ?? match[2] ?? '',
  )
  return links.filter((link) => !resolves(path, link)).map((link) => `${path}: ${link}`)
}

function resolves(path: string, link: string): boolean {
  if (/^[a-z]+:/i.test(link)) return true
  const [file = '', heading] = link.split('#')
  const target = file === '' ? path : file.startsWith('/') ? file.slice(1) : posix.join(posix.dirname(path), decodeURIComponent(file))
  if (!existsSync(join(ROOT, target))) return false
  return heading === undefined || !target.endsWith('.md') || anchors(target).has(heading)
}

function anchors(path: string): Set<string> {
  const text = readText(path).replace(/^(```|~~~)[\s\S]*?^\1/gm, '')
  const seen = new Map<string, number>()
  const found = new Set([...text.matchAll(/<a (?:id|name)="([^"]+)"/g)].map((match) => match[1] ?? ''))
  for (const [, title = ''] of text.matchAll(/^#{1,6}\s+(.+?)\s*#*$/gm)) {
    const plain = title.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').replace(/[`*]/g, '')
    const slug = plain
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replaceAll(' ', '-')
    const before = seen.get(slug) ?? 0
    seen.set(slug, before + 1)
    found.add(before === 0 ? slug : `${slug}-${before}`)
  }
  return found
}
