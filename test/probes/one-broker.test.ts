/**
 * One broker asks for everybody: an operator joins what runs, and a reload changes the settings of
 * what goes on, not the rules of probing.
 */
import { expect, test } from 'vitest'
import type { Conversation } from '../../src/probes/converse.ts'
import { noPatterns } from '../../src/probes/name-patterns.ts'
import { testProbeSettings } from '../support/broker.ts'
import { scriptedBroker, scriptedNames } from '../support/scripted-outside.ts'

const address = '127.0.1.1'
const mail = {
  mx: { 'good.example': ['mx.good.example'] },
  addresses: { 'mx.good.example': [address] },
}
const hostOnly = { dialup: 'off', relay: 'enforce', user: 'off' } as const
const userOnly = { dialup: 'off', relay: 'off', user: 'enforce' } as const
const mailbox = { local: 'anna', domain: 'good.example' }

/** Conversations that end when told. */
function heldConversations() {
  const ends: ((conversation: Conversation) => void)[] = []
  const converse = () => new Promise<Conversation>((resolve) => ends.push(resolve))
  const endAll = () => {
    for (const end of ends.splice(0)) end({ kind: 'refused', reason: 'ECONNREFUSED' })
  }
  return { converse, endAll }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

test('an operator who asks about a host or a sender joins the question that runs', async () => {
  for (const [modes, askAsOperator] of [
    [hostOnly, (of: ReturnType<typeof scriptedBroker>) => of.broker.askHost(address)],
    [userOnly, (of: ReturnType<typeof scriptedBroker>) => of.broker.askUser(mailbox)],
  ] as const) {
    const { converse, endAll } = heldConversations()
    const scripted = scriptedBroker({ modes }, mail, converse)
    const client = scripted.ask(address, 'anna@good.example')
    await turn()
    const operator = askAsOperator(scripted)
    await turn()
    expect(scripted.asked).toEqual([address])
    endAll()
    const [finding] = await client
    expect((await operator).finding).toEqual(finding)
    expect((await operator).target).toBe(`${address}:${testProbeSettings.port}`)
    // What ran is over: now the operator asks past the cache, and a client joins that.
    const again = askAsOperator(scripted)
    await turn()
    expect(scripted.asked).toHaveLength(2)
    endAll()
    await again
  }
})

test('a reload keeps what runs, the budgets, who rests and the switch', async () => {
  const { converse, endAll } = heldConversations()
  const perClient = { count: 1, windowMs: 3_600_000 }
  const settings = { ...testProbeSettings, modes: hostOnly, inFlightMax: 1, perClient }
  const { broker, ask, asked } = scriptedBroker(settings, mail, converse)
  const first = ask('127.0.9.1', 'anna@good.example')
  await turn()
  const changed = { ...settings, helo: 'other.home.example' }
  broker.configure({ settings: changed, names: scriptedNames(mail), patterns: noPatterns })
  expect(broker.inFlight).toBe(1)
  const second = broker.askHost('127.0.9.1')
  expect(await ask('127.0.9.2', 'anna@good.example')).toMatchObject([
    { name: 'not-now', evidence: [expect.stringContaining('too many probes in flight')] },
  ])
  expect(asked).toEqual(['127.0.9.1'])
  endAll()
  expect((await second).finding).toEqual((await first)[0])

  broker.configure({
    settings: { ...changed, modes: { ...hostOnly, dialup: 'enforce' } },
    names: scriptedNames(mail),
    patterns: noPatterns,
  })
  expect(await ask('127.0.9.1', 'anna@good.example')).toMatchObject([
    { name: 'not-now', evidence: ['budget of the client'] },
  ])
  broker.switch(false)
  broker.configure({ settings: changed, names: scriptedNames(mail), patterns: noPatterns })
  expect(broker.isOn).toBe(false)
  expect((await broker.askHost('127.0.9.3')).finding.name).toBe('not-now')
  expect(asked).toEqual(['127.0.9.1'])
})
