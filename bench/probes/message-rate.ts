/**
 * Messages a second through a whole proxy, tests off and tests on `observe` with a warm cache.
 */
import { type Internet, startInternet } from '../../test/internet/internet.ts'
import { town } from '../../test/internet/worlds/town.ts'
import { type ProbingProxy, startProbingProxy } from '../../test/support/probing-proxy.ts'

const clients = 20

/** Turns of each; what else the machine does meets both alike. */
const turns = 6

/** Sends so many messages through each of two proxies, turn by turn. */
export async function messageRates(
  messages: number,
): Promise<{ offPerSecond: number; observePerSecond: number }> {
  const internet = await startInternet(town)
  const proxies: ProbingProxy[] = []
  try {
    const off = await startWith(internet, 'off')
    proxies.push(off)
    const observe = await startWith(internet, 'observe')
    proxies.push(observe)
    for (const proxy of proxies) await sendMany(proxy, clients * 10)
    const spentMs = new Map<ProbingProxy, number>()
    for (let turn = 0; turn < turns; turn++) {
      for (const proxy of turn % 2 === 0 ? [off, observe] : [observe, off]) {
        const startMs = performance.now()
        await sendMany(proxy, messages / turns)
        spentMs.set(proxy, (spentMs.get(proxy) ?? 0) + performance.now() - startMs)
      }
    }
    const rateOf = (proxy: ProbingProxy) => (messages * 1000) / (spentMs.get(proxy) ?? 1)
    return { offPerSecond: rateOf(off), observePerSecond: rateOf(observe) }
  } finally {
    for (const proxy of proxies) await proxy.end()
    await internet.close()
  }
}

function startWith(internet: Internet, mode: 'off' | 'observe'): Promise<ProbingProxy> {
  const tests = { dialup: { mode }, relay: { mode }, user: { mode } }
  return startProbingProxy(internet, { changes: { tests } })
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
