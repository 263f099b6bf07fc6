// SIGINT and SIGTERM: the first asks the run to stop cleanly, the second ends it at once. Nothing is half-written either way.

const GRACE_MS = 4500

export interface Stop {
  readonly signal: AbortSignal
  /** 130 or 143 once a signal came, else null. */
  exitCode(): number | null
  release(): void
}

export function stopOnSignal(): Stop {
  const controller = new AbortController()
  let code: number | null = null
  const handle = (name: NodeJS.Signals): void => {
    const wanted = name === 'SIGINT' ? 130 : 143
    if (code !== null) process.exit(wanted)
    code = wanted
    controller.abort()
    // A server that does not answer must not keep us.
    setTimeout(() => process.exit(wanted), GRACE_MS).unref()
  }
  process.on('SIGINT', handle)
  process.on('SIGTERM', handle)
  return {
    signal: controller.signal,
    exitCode: () => code,
    release() {
      process.off('SIGINT', handle)
      process.off('SIGTERM', handle)
    },
  }
}
