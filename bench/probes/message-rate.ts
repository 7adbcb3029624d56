/**
 * Messages a second through a whole proxy, tests off and tests on `observe` with a warm cache.
 */
import { type Internet, startInternet } from '../../test/internet/internet.ts'
import { town } from '../../test/internet/worlds/town.ts'
import { type ProbingProxy, startProbingProxy } from '../../test/support/probing-proxy.ts'
import { median } from '../statistics.ts'

const clients = 20

/** Turns of each; what else the machine does meets both alike, and the ratio is their median. */
const turns = 10

/** Messages a second, medians. */
export interface MessageRates {
  readonly offPerSecond: number
  readonly observePerSecond: number
  /** Median of the turns' ratios, `observe` to off. */
  readonly ratio: number
}

/** Sends so many messages through each of two proxies, turn by turn. */
export async function messageRates(messages: number): Promise<MessageRates> {
  const internet = await startInternet(town)
  const proxies: ProbingProxy[] = []
  try {
    const off = await startWith(internet, 'off')
    proxies.push(off)
    const observe = await startWith(internet, 'observe')
    proxies.push(observe)
    for (const proxy of proxies) await sendMany(proxy, messages / turns)
    const rates = new Map<ProbingProxy, number[]>(proxies.map((proxy) => [proxy, []]))
    for (let turn = 0; turn < turns; turn++) {
      for (const proxy of turn % 2 === 0 ? [off, observe] : [observe, off]) {
        const startMs = performance.now()
        await sendMany(proxy, messages / turns)
        const seconds = (performance.now() - startMs) / 1000
        rates.get(proxy)?.push(messages / turns / seconds)
      }
    }
    const [offRates = [], observeRates = []] = [...rates.values()]
    return {
      offPerSecond: median(offRates),
      observePerSecond: median(observeRates),
      ratio: median(observeRates.map((rate, turn) => rate / (offRates[turn] ?? Number.NaN))),
    }
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
