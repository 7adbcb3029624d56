/** Waiting with an end to it. */

/** Resolves with the promise or after the time, whichever comes first; rejects with the promise. */
export async function within(promise: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const waited = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms)
  })
  await Promise.race([promise, waited])
  clearTimeout(timer)
}
