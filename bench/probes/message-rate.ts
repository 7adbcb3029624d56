/**
 * Messages a second through a whole proxy, tests off and tests on `observe` with a warm cache.
 */
import { type Internet, startInternet } from '../../test/internet/internet.ts'
import { town } from '../../test/internet/worlds/town.ts'
import { type ProbingProxy, startProbingProxy } from '../../test/support/probing-proxy.ts'

const clients = 20

/** Sends so many messages each way. */
export async function messageRates(
  messages: number,
): Promise<{ offPerSecond: number; observePerSecond: number }> {
  const internet = await startInternet(town)
  try {
    const offPerSecond = await rateWith(internet, 'off', messages)
    const observePerSecond = await rateWith(internet, 'observe', messages)
    return { offPerSecond, observePerSecond }
  } finally {
    await internet.close()
  }
}

async function rateWith(
  internet: Internet,
  mode: 'off' | 'observe',
  messages: number,
): Promise<number> {
  const tests = { dialup: { mode }, relay: { mode }, user: { mode } }
  const proxy = await startProbingProxy(internet, { changes: { tests } })
  try {
    await sendMany(proxy, clients * 2)
    const startMs = performance.now()
    await sendMany(proxy, messages)
    return (messages * 1000) / (performance.now() - startMs)
  } finally {
    await proxy.end()
  }
}

async function sendMany(proxy: ProbingProxy, messages: number): Promise<void> {
  let left = messages
  const client = async (): Promise<void> => {
    while (left-- > 0) {
      const { isTaken, last } = await proxy.send({ from: '127.0.1.1' })
      if (!isTaken) throw new Error(`not taken: ${last}`)
    }
  }
  await Promise.all(Array.from({ length: clients }, client))
}
