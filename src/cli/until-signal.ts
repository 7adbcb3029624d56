/**
 * Waits for the end of a command that serves: SIGTERM or SIGINT.
 */

/** Resolves at the first SIGTERM or SIGINT; the second ends the process as usual. */
export function untilSignal(): Promise<void> {
  return new Promise((resolve) => {
    const stop = (): void => {
      process.off('SIGTERM', stop).off('SIGINT', stop)
      resolve()
    }
    process.on('SIGTERM', stop).on('SIGINT', stop)
  })
}
