/**
 * Probing as a whole, broker, cache and feedback together: what counts as evidence, and for how
 * long.
 */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { feedbackIndependentMs } from '../../src/base/limits.ts'
import type { Finding } from '../../src/checks/finding.ts'
import { Probing } from '../../src/edge/probing.ts'
import type { Log } from '../../src/log/records.ts'
import type { Listing } from '../../src/probes/feedback.ts'
import { ProbeSwitch } from '../../src/probes/probe-switch.ts'
import { type Internet, startInternet } from '../internet/internet.ts'
import { town } from '../internet/worlds/town.ts'
import { noLists } from '../support/no-lists.ts'
import { probingSettings } from '../support/probing-proxy.ts'
import { testConfig, type Written } from '../support/running-proxy.ts'

const dialup = '127.0.2.7'
const relay = '127.0.5.1'

let internet: Internet
let probing: Probing | undefined
beforeAll(async () => {
  internet = await startInternet(town)
})
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date', 'performance'] })
})
afterEach(() => {
  probing?.close()
  vi.useRealTimers()
})
afterAll(() => internet.close())

const silentLog: Log = {
  takes: () => false,
  isTraced: () => false,
  record: () => undefined,
  verdict: () => undefined,
}

function configOf(changes: Written) {
  const settings = probingSettings(internet)
  const merged = Object.fromEntries(
    Object.entries(changes).map(([name, value]) => [name, mergedTable(settings[name], value)]),
  )
  return testConfig([1], { ...settings, ...merged })
}

function mergedTable(before: unknown, changes: unknown): unknown {
  return { ...(before as object), ...(changes as object) }
}

/** Probing of an instance, a client to ask with, and what was listed. */
function start(changes: Written) {
  const listings: Listing[] = []
  const made = new Probing({
    config: configOf(changes),
    recipientDomains: ['home.example'],
    lists: noLists,
    log: silentLog,
    learnt: undefined,
    onListing: (listing) => listings.push(listing),
    probeSwitch: new ProbeSwitch(),
  })
  probing = made
  const ask = (address: string, sender = 'anna@good.example') =>
    new Promise<readonly Finding[]>((resolve) => {
      const question = { address, helo: 'a', sender, recipient: 'postbox@home.example' }
      const onAnswer = (answer: { readonly findings: readonly Finding[] }) =>
        resolve(answer.findings)
      made.desk.examine(question, { onDeferred: () => undefined, onAnswer })
    })
  const prefixes = () => listings.map(({ prefix }) => prefix)
  return { probing: made, ask, prefixes }
}

function later(ms: number): void {
  vi.advanceTimersByTime(ms)
}

for (const host of [relay, dialup]) {
  test(`B23 one probe of ${host} is one finding, however often its verdict is met`, async () => {
    const { ask, prefixes, probing: made } = start({ feedback: { findings: 2 } })
    await ask(host)
    const asked = made.state.made
    for (let minutes = 0; minutes < 9; minutes++) {
      later(60_000)
      expect(await ask(host)).toMatchObject([{ outcome: 'positive' }])
    }
    expect(prefixes()).toEqual([])
    expect(made.state.made).toBe(asked)
    // The time of a second finding has come: it needs a second probe.
    later(60_000)
    await ask(host)
    expect(prefixes()).toEqual([`${host}/32`])
    if (host === relay) expect(made.state.made).toBe(asked + 1)
  })
}

test('B23 a verdict that comes from the cache alone is no second finding', async () => {
  const { ask, prefixes, probing: made } = start({ feedback: { findings: 2 } })
  await ask(relay)
  const [kept] = made.cache.entries('h:', Date.now(), 1)
  if (kept === undefined) throw new Error('not kept')
  // As if an exemption had kept the verdict for its whole time.
  made.cache.put(kept[0], { ...kept[1], untilMs: Number.MAX_SAFE_INTEGER })
  const asked = made.state.made
  later(2 * feedbackIndependentMs)
  await ask(relay)
  expect(made.state.made).toBe(asked)
  expect(prefixes()).toEqual([])
})

test('B23 removed or ended, a host is asked anew before it is entered again', async () => {
  const { ask, prefixes, probing: made } = start({ feedback: { findings: 1, ttl: '1d' } })
  await ask(relay)
  expect(prefixes()).toHaveLength(1)
  let asked = made.state.made
  // A connection that was open before goes on, and finds nothing new.
  later(3_600_000)
  await ask(relay)
  expect(made.state.made).toBe(asked)
  expect(prefixes()).toHaveLength(1)

  made.onRemoved(`${relay}/32`)
  later(1)
  await ask(relay)
  expect(made.state.made).toBe(asked + 1)
  expect(prefixes()).toHaveLength(2)

  asked = made.state.made
  later(86_400_000)
  await ask(relay)
  expect(made.state.made).toBe(asked + 1)
  expect(prefixes()).toHaveLength(3)
})

test('B23 the hosts of a removed block are asked anew', async () => {
  const { ask, probing: made } = start({})
  await ask(relay)
  await ask('127.0.5.2')
  expect(made.cache.entries('h:', Date.now(), 9)).toHaveLength(2)
  made.onRemoved('127.0.5.0/24')
  expect(made.cache.entries('h:', Date.now(), 9)).toEqual([])
})

test('the wall clock is set: no budget is full before its time, and none stays empty', async () => {
  const { ask, probing: made } = start({ probe: { per_client: '1/h' } })
  const askAnew = async (): Promise<Finding | undefined> => {
    made.onRemoved(`${relay}/32`)
    const [found] = await ask(relay)
    return found
  }
  await ask(relay)
  vi.setSystemTime(Date.now() + 86_400_000)
  expect(await askAnew()).toMatchObject({ name: 'not-now', evidence: ['budget of the client'] })
  vi.setSystemTime(Date.now() - 2 * 86_400_000)
  later(3_600_000)
  expect(await askAnew()).toMatchObject({ outcome: 'positive' })
})

test('a reload leaves probing switched off, and what was taken from the budgets taken', async () => {
  const budget = { probe: { per_client: '1/h' } }
  const { ask, probing: made } = start(budget)
  await ask(relay)
  made.prepare(configOf({ ...budget, probe: { per_client: '1/h', helo: 'b.home.example' } }), [
    'home.example',
  ])()
  made.onRemoved(`${relay}/32`)
  const [found] = await ask(relay)
  expect(found).toMatchObject({ name: 'not-now', evidence: ['budget of the client'] })
  made.broker.switch(false)
  made.prepare(configOf(budget), ['home.example'])()
  expect(made.state.isOn).toBe(false)
})
