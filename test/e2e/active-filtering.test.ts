/**
 * Active filtering through the whole proxy, on the loopback internet.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { DynamicEntry } from '../../src/store/dynamic-list.ts'
import { newDemoLists } from '../internet/demo-lists.ts'
import { type Internet, startInternet } from '../internet/internet.ts'
import { town } from '../internet/worlds/town.ts'
import { type ProbingProxy, startProbingProxy } from '../support/probing-proxy.ts'

let internet: Internet
let proxy: ProbingProxy | undefined
beforeAll(async () => {
  internet = await startInternet(town)
})
afterEach(async () => {
  await proxy?.end()
  proxy = undefined
})
afterAll(() => internet.close())

async function start(
  ...parts: Parameters<typeof startProbingProxy> extends [Internet, ...infer Rest] ? Rest : never
) {
  proxy = await startProbingProxy(internet, ...parts)
  return proxy
}

describe('each host of the town gets its verdict, with its evidence in the log', () => {
  const cases = [
    { label: 'B13 a clean host', from: '127.0.1.1', want: /^250/, layer: 'transfer' },
    { label: 'B13 an open relay', from: '127.0.5.1', want: /^550 5\.7\.1 /, layer: 'relay' },
    {
      label: 'B11 a dialup by its name',
      from: '127.0.2.7',
      want: /^550 5\.7\.1 /,
      layer: 'dialup',
    },
    {
      label: 'B11 a dialup by its neighbours',
      from: '127.0.3.11',
      want: /^550 5\.7\.1 /,
      layer: 'dialup',
    },
    {
      label: 'B11 a mail host behind a firewall',
      from: '127.0.4.1',
      want: /^250/,
      layer: 'transfer',
    },
    { label: 'B11 a host without a name', from: '127.0.4.2', want: /^250/, layer: 'transfer' },
    {
      label: 'B14 a forged sender',
      from: '127.0.1.1',
      sender: 'nobody@good.example',
      want: /^550 5\.1\.8 /,
      layer: 'user',
    },
    {
      label: 'B16 unreachable',
      from: '127.0.1.1',
      sender: 'emil@away.example',
      want: /^250/,
      layer: 'transfer',
    },
    {
      label: 'B15 no MX',
      from: '127.0.1.1',
      sender: 'carl@nomx.example',
      want: /^250/,
      layer: 'transfer',
    },
    {
      label: 'B17 the next MX',
      from: '127.0.1.1',
      sender: 'dora@half.example',
      want: /^250/,
      layer: 'transfer',
    },
    { label: 'B19 a bounce', from: '127.0.1.1', sender: '', want: /^250/, layer: 'transfer' },
  ]
  test.each(cases)('$label', async ({ from, sender, want }) => {
    const { send, verdicts } = await start()
    const letter = sender === undefined ? { from } : { from, sender }
    const { last } = await send(letter)
    expect(last).toMatch(want)
    await expect.poll(() => verdicts().length, { timeout: 20_000 }).toBe(1)
    const records = verdicts()
    const isRefused = last.startsWith('5')
    expect(records[0]).toMatchObject({ client: from, action: isRefused ? 'refuse' : 'pass' })
    if (isRefused) expect(records[0]?.['evidence']).not.toEqual([])
  })

  test('a forged sender is told and the connection closed at once', async () => {
    const { send } = await start()
    const { replies } = await send({ from: '127.0.1.1', sender: 'nobody@good.example' })
    expect(replies.at(-1)).toMatch(/^550 5\.1\.8 .*id=|^550 5\.1\.8 /)
  })
})

describe('B7 whitelist', () => {
  test('the listed sender passes from a dialup, another user of the same host is tested', async () => {
    const listed = { isWhitelisted: (sender: string) => sender === 'friend@far.example' }
    const { send } = await start({}, listed)
    expect((await send({ from: '127.0.2.7', sender: 'friend@far.example' })).isTaken).toBe(true)
    expect((await send({ from: '127.0.2.7', sender: 'foe@far.example' })).last).toMatch(/^550/)
  })

  test('off: the listed sender is tested too', async () => {
    const listed = { isWhitelisted: () => true }
    const { send } = await start({ whitelist: { mode: 'off' } }, listed)
    expect((await send({ from: '127.0.2.7' })).last).toMatch(/^550/)
  })
})

describe('B10, B12 the dialup and relay databases', () => {
  test('a dialup of the database goes straight to active user', async () => {
    const exempt = { isDialupExempt: () => true, isRelayExempt: () => true }
    const { send } = await start({}, exempt)
    const before = internet.dns.questions.length
    expect((await send({ from: '127.0.2.7' })).isTaken).toBe(true)
    expect((await send({ from: '127.0.2.8', sender: 'nobody@good.example' })).last).toMatch(
      /^550 5\.1\.8/,
    )
    expect(internet.dns.questions.slice(before).filter((each) => each.startsWith('PTR'))).toEqual(
      [],
    )
  })

  test('an open relay of the database passes and gets no RCPT', async () => {
    const before = internet.sessionsAt('127.0.5.1').length
    const { send } = await start({}, { isRelayExempt: () => true })
    expect((await send({ from: '127.0.5.1' })).isTaken).toBe(true)
    const commands = internet
      .sessionsAt('127.0.5.1')
      .slice(before)
      .flatMap((each) => each.commands)
    expect(commands.filter((line) => line.startsWith('RCPT'))).toEqual([])
  })
})

describe('modes', () => {
  test('observe lets pass and says what would have happened', async () => {
    const tests = {
      dialup: { mode: 'observe' },
      relay: { mode: 'observe' },
      user: { mode: 'observe' },
    }
    const { send, records, listings } = await start({ tests })
    expect((await send({ from: '127.0.2.7', sender: 'nobody@good.example' })).isTaken).toBe(true)
    const found = () =>
      records()
        .filter((record) => record['event'] === 'finding')
        .map((record) => record['finding'])
    await expect.poll(found).toEqual(expect.arrayContaining(['pool-name', 'no-such-user']))
    expect(listings).toEqual([])
  })

  test('tempfail refuses for now', async () => {
    const tests = {
      dialup: { mode: 'tempfail' },
      relay: { mode: 'tempfail' },
      user: { mode: 'tempfail' },
    }
    const { send } = await start({ tests })
    expect((await send({ from: '127.0.2.7' })).last).toMatch(/^450 4\.7\.1 /)
    expect((await send({ from: '127.0.1.1', sender: 'nobody@good.example' })).last).toMatch(
      /^450 4\.1\.8 /,
    )
  })

  test('off: nothing is asked', async () => {
    const off = { mode: 'off' }
    const before = [internet.allSessions().length, internet.dns.questions.length]
    const { send } = await start({ tests: { dialup: off, relay: off, user: off } })
    expect((await send({ from: '127.0.5.1', sender: 'nobody@good.example' })).isTaken).toBe(true)
    expect([internet.allSessions().length, internet.dns.questions.length]).toEqual(before)
  })

  test('indeterminate may be refused for now', async () => {
    const tests = { relay: { mode: 'enforce', indeterminate: 'tempfail' } }
    const { send } = await start({ tests })
    expect((await send({ from: '127.0.6.13' })).last).toMatch(/^450/)
  })
})

describe('Show 6: the tests wait at MAIL, RCPT or DATA', () => {
  const cases = [
    { at: 'mail', replies: 3 },
    { at: 'rcpt', replies: 4 },
    { at: 'data', replies: 5 },
  ]
  test.each(cases)('at $at the refusal is reply $replies', async ({ at, replies }) => {
    const { send } = await start({ tests: { at } })
    const sent = await send({ from: '127.0.5.1' })
    expect(sent.last).toMatch(/^550 5\.7\.1/)
    expect(sent.replies.findIndex((reply) => reply.startsWith('5')) + 1).toBe(replies)
    expect((await send({ from: '127.0.1.1' })).isTaken).toBe(true)
  })

  test.each(['mail', 'rcpt', 'data'])(
    'B26 a tarpit as remote host at %s: answered within the budget; a second connection is no way round',
    async (at) => {
      const { send } = await start({
        tests: { at, relay: { mode: 'enforce', indeterminate: 'tempfail' } },
        probe: { budget: '2s', connect_wait: '30s', reply_wait: '30s' },
      })
      const both = await Promise.all([send({ from: '127.0.6.2' }), send({ from: '127.0.6.2' })])
      expect(both.map(({ isTaken }) => isTaken)).toEqual([false, false])
      for (const { last } of both) expect(last).toMatch(/^4/)
    },
  )
})

describe('B23 feedback', () => {
  test('what relay and dialup found is entered; a forged sender is not', async () => {
    const { send, listings } = await start()
    await send({ from: '127.0.5.1' })
    await send({ from: '127.0.2.7' })
    await send({ from: '127.0.1.1', sender: 'nobody@good.example' })
    expect(listings.map(({ prefix, reason }) => `${prefix} ${reason}`)).toEqual([
      '127.0.5.1/32 open-relay',
      '127.0.2.7/32 pool-name',
    ])
  })

  test('the second connection is refused at connect; removed, it is tested again', async () => {
    const lists = newDemoLists('192.0.2.0/24', () => undefined)
    const { send, dynamic } = await start({ lists: { allow_loopback: true } }, lists)
    expect((await send({ from: '127.0.5.1' })).replies).toHaveLength(5)
    const second = await send({ from: '127.0.5.1' })
    expect(second.replies).toEqual([expect.stringMatching(/^554 5\.7\.1 /)])
    dynamic.onChange('remove', entryOf('127.0.5.1/32'), Date.now())
    expect((await send({ from: '127.0.5.1' })).replies).toHaveLength(5)
  })

  test('an exempt host is never entered', async () => {
    const { send, listings } = await start({}, { isFeedbackExempt: () => true })
    await send({ from: '127.0.5.1' })
    expect(listings).toEqual([])
  })
})

describe('the commands of an operator', () => {
  test('probes off: nothing is asked until they are on again', async () => {
    const { send, commands } = await start()
    await commands['probes']?.({ action: 'off' })
    expect((await send({ from: '127.0.5.1' })).isTaken).toBe(true)
    await commands['probes']?.({ action: 'on' })
    expect((await send({ from: '127.0.5.1' })).last).toMatch(/^550/)
  })

  test('the cache is shown and flushed, a host asked about', async () => {
    const { send, commands } = await start()
    await send({ from: '127.0.5.1' })
    expect(JSON.stringify(await commands['cache']?.({ action: 'show', key: 'h:' }))).toContain(
      'open-relay',
    )
    expect(await commands['cache']?.({ action: 'flush', key: '' })).toMatchObject({ flushed: 1 })
    expect(await commands['probe']?.({ subject: 'nobody@good.example' })).toMatchObject({
      finding: { name: 'no-such-user' },
    })
    expect(() => commands['probe']?.({ subject: 'nonsense' })).toThrow(/write an IP address/)
  })
})

test('B20 the proxy itself passes the relay probes', async () => {
  const { send } = await start()
  const forms = [
    'x@far.example',
    'x%far.example@home.example',
    '"x@far.example"@home.example',
    '@home.example:x@far.example',
  ]
  for (const recipient of forms) {
    const { last, isTaken } = await send({ from: '127.0.1.1', recipients: [recipient] })
    expect(isTaken, `${recipient}: ${last}`).toBe(false)
  }
})

test('verdicts survive a restart: no second question', async () => {
  const first = await start()
  await first.send({ from: '127.0.1.2' })
  const asked = internet.sessionsAt('127.0.1.2').length
  await first.send({ from: '127.0.1.2' })
  expect(internet.sessionsAt('127.0.1.2').length).toBe(asked)
})

test('no probe ever sent a message, at any of these', () => {
  expect(internet.allSessions().filter((session) => session.isMessageEnded)).toEqual([])
})

/** An operator's entry without an end. */
function entryOf(prefix: string): DynamicEntry {
  const source = 'operator'
  return { prefix, source, reason: '', evidence: [], addedAtMs: 0, expiresAtMs: 0 }
}
