import type { Finding } from '../contract/finding.ts'
import { ERRORS, type ErrorCode } from '../core/errors.ts'
import { openProject } from '../project/open-project.ts'
import type { Console } from './console.ts'

/** Connects and says what should be known or mended before a run. */
export async function check(console: Console, names: readonly string[]): Promise<number> {
  await using project = await openProject(console.options.config ?? null)
  const findings: (Finding & { pipeline: string | null })[] = project.project.literalSecrets.map((where) => ({
    severity: 'warning' as const,
    code: 'literal-secret',
    pipeline: null,
    message: `${where}: a password stands in the project file.`,
    hint: 'Write ${env:NAME} or ${file:PATH} in its place.',
  }))
  for (const pipeline of await project.pipelines(names))
    for (const finding of await project.check(pipeline.name)) findings.push({ ...finding, pipeline: pipeline.name })
  const ok = findings.every((finding) => finding.severity !== 'error')
  console.answer(
    findings.flatMap((finding) => [
      `${console.mark(finding.severity)} ${finding.pipeline ?? 'project'}  ${finding.message}`,
      ...(finding.hint === '' ? [] : [`          ${finding.hint}`]),
    ]),
  )
  console.answer([ok ? 'Ready to run.' : 'Not ready: mend the errors above.'])
  console.data({ command: 'check', ok, findings })
  return ok ? 0 : exitOf(findings)
}

/** A finding may also have a code of its own, which no run would end with. */
function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERRORS, code)
}

function exitOf(findings: readonly Finding[]): number {
  return findings.some(({ severity, code }) => severity === 'error' && isErrorCode(code) && ERRORS[code].exit === 3) ? 3 : 1
}
