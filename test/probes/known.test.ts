/**
 * What is known, as the broker makes it an answer: at once, whatever it says, unless the host is
 * exempt by now or probing is off.
 */
import { expect, test } from 'vitest'
import { makeFinding } from '../../src/probes/tools.ts'
import { MemoryVerdictCache } from '../../src/probes/verdict-cache.ts'
import { hostCacheKey, VerdictMemory } from '../../src/probes/verdict-memory.ts'
import { testProbeSettings } from '../support/broker.ts'
import { scriptedBroker } from '../support/scripted-outside.ts'

const address = '127.0.1.1'
const hostOnly = { dialup: 'enforce', relay: 'enforce', user: 'off' } as const
const converse = async () => ({ kind: 'our-fault', reason: 'EMFILE' }) as const
const wallNow = () => 1000

/** A cache with an indeterminate verdict of the host. */
function unclearHost(): MemoryVerdictCache {
  const cache = new MemoryVerdictCache(10)
  const memory = new VerdictMemory(cache, testProbeSettings.keep, wallNow)
  const found = makeFinding('relay', 'indeterminate', 'relay-unclear', ['x'])
  memory.keepHost(hostCacheKey(address, { relay: true, dialup: true }), found)
  return cache
}

test('a host that is exempt by now is told of as nothing', async () => {
  const exemptions = { isRelayExempt: () => true, isDialupExempt: () => true }
  const parts = { cache: unclearHost(), exemptions, wallNow }
  const { ask, asked } = scriptedBroker({ modes: hostOnly }, { addresses: {} }, converse, parts)
  expect(await ask(address, '')).toEqual([])
  expect(asked).toEqual([])
})

test('call-ahead on, recipient unknown, `<>` from a known relay: open-relay', async () => {
  const cache = new MemoryVerdictCache(10)
  const memory = new VerdictMemory(cache, testProbeSettings.keep, wallNow)
  const relay = makeFinding('relay', 'positive', 'open-relay', ['x'])
  memory.keepHost(hostCacheKey(address, { relay: true, dialup: true }), relay)
  const settings = { modes: hostOnly, callAhead: true }
  const parts = { cache, wallNow }
  const { ask, asked } = scriptedBroker(settings, { addresses: {} }, converse, parts)
  expect(await ask(address, '')).toMatchObject([{ layer: 'relay', name: 'open-relay' }])
  expect(asked).toEqual([])
})

test('an operator without an identity or a recipient of ours: nothing is sent or kept', async () => {
  const off = { dialup: 'off', relay: 'off', user: 'off' } as const
  const nameless = scriptedBroker({ modes: off, helo: '' }, { addresses: {} })
  const code = 'PROBE_IDENTITY'
  expect(() => nameless.broker.askHost(address)).toThrow(expect.objectContaining({ code }))
  const mailbox = { local: 'anna', domain: 'far.example' }
  expect(() => nameless.broker.askUser(mailbox)).toThrow(expect.objectContaining({ code }))
  const unaddressed = scriptedBroker({ modes: off, relayRecipient: '' }, { addresses: {} })
  expect(() => unaddressed.broker.askHost(address, 'relay')).toThrow(/relay_recipient is empty/)
  for (const { asked, cache } of [nameless, unaddressed]) {
    expect([asked.length, cache.size]).toEqual([0, 0])
  }
})

test('switched off: nothing is found', async () => {
  const parts = { cache: unclearHost(), wallNow }
  const { ask, broker } = scriptedBroker({ modes: hostOnly }, { addresses: {} }, converse, parts)
  expect(await ask(address, '')).toMatchObject([{ outcome: 'indeterminate' }])
  broker.switch(false)
  expect(await ask(address, '')).toEqual([])
})

test('a client whose host is being asked at this moment waits for nothing that is known', async () => {
  const names = { addresses: { 'far.example': [address] } }
  const silence = () => new Promise<never>(() => undefined)
  const { ask, broker } = scriptedBroker({ modes: hostOnly }, names, silence, {
    cache: unclearHost(),
    wallNow,
  })
  void broker.askHost(address)
  expect(broker.inFlight).toBe(1)
  expect(await ask(address, 'known@far.example')).toMatchObject([{ name: 'relay-unclear' }])
})
