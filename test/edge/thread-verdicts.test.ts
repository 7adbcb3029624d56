/**
 * What a serving thread answers by itself from the store: all that is known, as the broker would.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { Outcome } from '../../src/checks/finding.ts'
import { ThreadVerdicts } from '../../src/edge/thread-verdicts.ts'
import { ProbeSwitch } from '../../src/probes/probe-switch.ts'
import { makeFinding } from '../../src/probes/tools.ts'
import { endHostVerdicts, hostCacheKey, VerdictMemory } from '../../src/probes/verdict-memory.ts'
import { Learnt } from '../../src/store/learnt.ts'
import { nativeTable } from '../../src/tables/native-table.ts'
import { testProbeSettings } from '../support/broker.ts'
import { describeWith, needsAddon } from '../support/needs.ts'

const address = '127.0.1.1'
const mailbox = { local: 'anna', domain: 'good.example' }
const question = { address, helo: 'a', sender: 'anna@good.example', recipient: 'b@home.example' }
const outcomes: readonly Outcome[] = ['negative', 'positive', 'indeterminate']
const pairs = outcomes.flatMap((host) => outcomes.map((user) => ({ host, user })))
const settings = { sizeMaxOctets: 2 ** 30, verdictsMax: 1000, whitelistExpiresMs: 0, goodForMs: 0 }
const told: string[] = []

let folder = ''
let learnt: Learnt
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'activemx-thread-'))
  learnt = new Learnt(folder, settings, () => undefined)
})
afterEach(() => learnt.verdicts.flush(''))
afterAll(async () => {
  await learnt.close()
  rmSync(folder, { recursive: true, force: true })
})

/** A thread of its own view; `relay` and `dialup` are handles of tables. */
function newThread({ relay = 0, dialup = 0, hasVerdicts = true } = {}) {
  const probeSwitch = new ProbeSwitch()
  const lists = { blacklist: 0, relay, dialup, store: folder, hasVerdicts }
  const tell = (detail: string) => void told.push(detail)
  const thread = new ThreadVerdicts(lists, testProbeSettings, probeSwitch, tell)
  return { thread, probeSwitch }
}

/** The main thread finds this out; it is committed when this resolves. */
async function findOut(host: Outcome, user: Outcome, tests = { relay: true, dialup: true }) {
  const memory = new VerdictMemory(learnt.verdicts, testProbeSettings.keep, Date.now)
  memory.keepHost(hostCacheKey(address, tests), makeFinding('relay', host, 'host-told', ['h']))
  const finding = makeFinding('user', user, 'user-told', ['u'])
  memory.keepMailbox('user', mailbox, { finding, dialogue: [], target: '' })
  await learnt.verdicts.flushed()
}

describeWith([needsAddon()], 'a serving thread', () => {
  test.each(pairs)('answers what is known: host $host, sender $user', async ({ host, user }) => {
    await findOut(host, user)
    const { thread } = newThread()
    const hostFound = { layer: 'relay', outcome: host, name: 'host-told', evidence: ['h'] }
    const userFound = { layer: 'user', outcome: user, name: 'user-told', evidence: ['u'] }
    const findings = host === 'positive' ? [hostFound] : [hostFound, userFound]
    expect(thread.answer(question)).toMatchObject(findings)
    expect(thread.answer({ ...question, address: '127.0.1.2' })).toBeUndefined()
    expect(thread.answer({ ...question, isWhitelisted: true })).toBeUndefined()
    expect(told).toEqual([])
  })

  test('a host of the relay or dialup database, from the moment that it is in it', async () => {
    await findOut('positive', 'negative')
    const relay = nativeTable.fromPrefixes([])
    const dialup = nativeTable.fromPrefixes([])
    const { thread } = newThread({ relay: relay.handle, dialup: dialup.handle })
    expect(thread.answer(question)).toMatchObject([{ name: 'host-told' }])
    relay.add('127.0.1.0/24', { list: 'partners' })
    // The relay test is not made of it: what it found is of no account, the dialup test is open.
    expect(thread.answer(question)).toBeUndefined()
    dialup.add('127.0.1.1', { list: 'known' })
    expect(thread.answer(question)).toMatchObject([{ name: 'user-told' }])
    relay.remove('127.0.1.0/24')
    expect(thread.answer(question)).toBeUndefined()
    relay.close()
    dialup.close()
  })

  test('call-ahead on, recipient unknown, `<>` from a known relay: open-relay', async () => {
    await findOut('positive', 'negative')
    const { thread } = newThread()
    thread.configure({ ...testProbeSettings, callAhead: true })
    expect(thread.answer({ ...question, sender: '' })).toMatchObject([{ name: 'host-told' }])
    // A sender's recipient is asked about first.
    expect(thread.answer(question)).toBeUndefined()
  })

  test('probes off: nothing is found; on: as before', async () => {
    await findOut('positive', 'negative')
    const { thread, probeSwitch } = newThread()
    probeSwitch.turn(false)
    expect(thread.answer(question)).toEqual([])
    probeSwitch.turn(true)
    expect(thread.answer(question)).toMatchObject([{ name: 'host-told' }])
  })

  test('where the main thread has no store, it alone knows: what lies in the folder is old', async () => {
    await findOut('negative', 'negative')
    const { thread, probeSwitch } = newThread({ hasVerdicts: false })
    expect(thread.answer(question)).toBeUndefined()
    probeSwitch.turn(false)
    expect(thread.answer(question)).toEqual([])
  })

  test('a flushed cache holds nothing', async () => {
    await findOut('positive', 'negative')
    const { thread } = newThread()
    expect(thread.answer(question)).toBeDefined()
    await learnt.verdicts.flush('h:')
    await expect.poll(() => thread.answer(question)).toBeUndefined()
  })

  test('what an operator removed is gone at once, not with the next batch', async () => {
    await findOut('positive', 'negative')
    endHostVerdicts(learnt.verdicts, `${address}/32`, 0)
    await Promise.resolve()
    expect(newThread().thread.answer(question)).toBeUndefined()
  })

  test('other settings hold from the next question on', async () => {
    await findOut('positive', 'negative')
    const { thread } = newThread()
    thread.configure({ ...testProbeSettings, modes: { dialup: 'off', relay: 'off', user: 'off' } })
    expect(thread.answer(question)).toEqual([])
  })
})
