/**
 * Messages a second through a whole proxy, every test off and every test on `observe` (header rules
 * too) with a warm cache. Each message has another sender than the one before, so that the answers
 * come from all over the cache and no memo of one sender answers for it.
 */
import { type Internet, startInternet } from '../../test/internet/internet.ts'
import { town } from '../../test/internet/worlds/town.ts'
import { type ProbingProxy, startProbingProxy } from '../../test/support/probing-proxy.ts'
import { median } from '../statistics.ts'
import { nameOf } from './names.ts'

const clients = 20

const senders = Array.from({ length: 400 }, (_, index) => nameOf(index))

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
  const crowd = { mx: ['mail.good.example'], users: senders }
  const domains = { ...town.domains, 'crowd.example': crowd }
  const internet = await startInternet({ ...town, domains })
  const proxies: ProbingProxy[] = []
  try {
    const off = await startWith(internet, 'off')
    proxies.push(off)
    const observe = await startWith(internet, 'observe')
    proxies.push(observe)
    for (const proxy of proxies) await sendMany(proxy, Math.max(senders.length, messages / turns))
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
  const tests = { dialup: { mode }, relay: { mode }, user: { mode }, headers: { mode } }
  return startProbingProxy(internet, { changes: { tests } })
}

async function sendMany(proxy: ProbingProxy, messages: number): Promise<void> {
  let left = messages
  const client = async (): Promise<void> => {
    while (left-- > 0) {
      const sender = `${senders[left % senders.length]}@crowd.example`
      const { isTaken, last } = await proxy.send({ from: '127.0.1.1', sender })
      if (!isTaken) throw new Error(`not taken: ${last}`)
    }
  }
  await Promise.all(Array.from({ length: clients }, client))
}
