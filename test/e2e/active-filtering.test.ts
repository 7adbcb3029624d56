/**
 * Active filtering through the whole proxy on the loopback internet: native gate, engine and
 * threads, and the twins, with lists in files and with all of them in the store.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type Internet, startInternet } from '../internet/internet.ts'
import { town } from '../internet/worlds/town.ts'
import { annaExists, townCases } from '../internet/worlds/town-cases.ts'
import { startDeafPort } from '../support/deaf-port.ts'
import { describeWith, needsAddon } from '../support/needs.ts'
import {
  type ProbingParts,
  type ProbingProxy,
  startProbingProxy,
} from '../support/probing-proxy.ts'

let internet: Internet
let proxy: ProbingProxy | undefined
beforeAll(async () => {
  internet = await startInternet({
    ...town,
    names: { '127.0.4.3': 'no-answer' },
    texts: { 'far.example': ['v=spf1 ip4:127.0.2.7 -all'] },
    mailhost: { address: '127.0.0.1', domains: ['home.example', 'partner.example'] },
  })
})
afterEach(async () => {
  await proxy?.end()
  proxy = undefined
  internet.mailhost.users = undefined
})
afterAll(() => internet.close())

const ways: readonly { way: string; parts: ProbingParts; needs: string | undefined }[] = [
  { way: 'native threads, lists as files', parts: {}, needs: needsAddon() },
  {
    way: 'native threads, all in one store (B25)',
    parts: { changes: { lists: { keep: 'store' } } },
    needs: needsAddon(),
  },
  { way: 'the twins', parts: { isNative: false }, needs: undefined },
]

/** Commands that a host got since `from` sessions. */
function commandsAt(address: string, from: number): readonly string[] {
  return internet
    .sessionsAt(address)
    .slice(from)
    .flatMap((session) => session.commands)
}

for (const { way, parts, needs } of ways) {
  const start = async (more: ProbingParts = {}): Promise<ProbingProxy> => {
    const changes = mergeLists(parts.changes ?? {}, more.changes ?? {})
    proxy = await startProbingProxy(internet, { ...parts, ...more, changes })
    return proxy
  }

  describeWith([needs], way, () => {
    describe('each host of the town, with the evidence in its record', () => {
      let town: ProbingProxy
      beforeAll(async () => {
        town = await startProbingProxy(internet, {
          ...parts,
          changes: mergeLists(parts.changes ?? {}, { feedback: { layers: [] } }),
        })
      })
      afterAll(() => town.end())

      test.each(townCases)('$label', async ({ from, sender, want, evidence, unsaid = [] }) => {
        const letter = sender === undefined ? { from } : { from, sender }
        const before = town.verdicts().length
        const { last } = await town.send(letter)
        expect(last).toMatch(want)
        await expect.poll(() => town.verdicts().length, { timeout: 20_000 }).toBe(before + 1)
        const record = town.verdicts()[before]
        const isRefused = last.startsWith('5')
        expect(record).toMatchObject({ client: from, action: isRefused ? 'refuse' : 'pass' })
        if (isRefused) expect(last).toContain(`id=${record?.['id']}`)
        const told = record?.['evidence'] as readonly string[]
        expect(told.slice(0, evidence.length)).toEqual(evidence)
        for (const words of unsaid) expect(told.join('\n')).not.toContain(words)
      })

      test('each probe has its record, with evidence and target', () => {
        const probes = town.recordsOf('probe')
        expect(probes.length).toBeGreaterThan(10)
        for (const record of probes) {
          expect(record).toMatchObject({ client: expect.stringMatching(/^127\./) })
          expect(record['evidence']).not.toEqual([])
        }
        const asked = probes.find((record) => record['key'] === 'nobody@good.example')
        expect(asked?.['target']).toBe(`127.0.1.1:${internet.smtpPort}`)
      })
    })

    test('B9 a reverse connection that times out: dialup alone, with the evidence', async () => {
      const deaf = await startDeafPort('127.0.2.9', internet.smtpPort)
      try {
        const { send, verdicts } = await start()
        expect((await send({ from: '127.0.2.9' })).last).toMatch(/^250/)
        await expect.poll(() => verdicts().length, { timeout: 20_000 }).toBe(1)
        expect(verdicts()[0]?.['evidence']).toEqual([
          'dialup indeterminate no-name',
          'reverse connection unreachable (ETIMEDOUT)',
          'no PTR',
          ...annaExists,
        ])
      } finally {
        await deaf.end()
      }
    })

    test('B14 a forged sender is told, and the connection closed at once', async () => {
      const { send } = await start()
      const { replies } = await send({ from: '127.0.1.1', sender: 'nobody@good.example' })
      expect(replies.at(-1)).toMatch(/^550 5\.1\.8 /)
      expect(replies).toHaveLength(4)
    })

    test('B2 a trusted network: an open relay in it delivers, unasked', async () => {
      const before = internet.sessionsAt('127.0.5.1').length
      const { send } = await start({ lists: { trusted: ['127.0.5.0/24'] } })
      expect((await send({ from: '127.0.5.1' })).isTaken).toBe(true)
      expect(internet.sessionsAt('127.0.5.1').length).toBe(before)
    })

    test('B2 a trusted name that leads back: an open relay delivers, unasked; another name does not', async () => {
      const before = internet.sessionsAt('127.0.5.1').length
      const { send, verdicts } = await start({ lists: { trusted: ['.open.example'] } })
      expect((await send({ from: '127.0.5.1' })).isTaken).toBe(true)
      expect(internet.sessionsAt('127.0.5.1').length).toBe(before)
      await expect.poll(() => verdicts().length).toBe(1)
      expect(verdicts()[0]).toMatchObject({ layer: 'connect', finding: 'trusted-name' })
      expect((await send({ from: '127.0.5.2' })).last).toMatch(/^550 5\.7\.1/)
    })

    test('B7 the listed sender passes from a dialup, another user of the same host is tested', async () => {
      const { send } = await start({ whitelist: ['Friend@far.example'] })
      expect((await send({ from: '127.0.2.7', sender: 'friend@far.example' })).isTaken).toBe(true)
      expect((await send({ from: '127.0.2.7', sender: 'foe@far.example' })).last).toMatch(/^550/)
    })

    test('B7 off: the listed sender is tested too', async () => {
      const changes = { whitelist: { mode: 'off' } }
      const { send } = await start({ whitelist: ['friend@far.example'], changes })
      expect((await send({ from: '127.0.2.7', sender: 'friend@far.example' })).last).toMatch(/^550/)
    })

    test('B7 with require = "spf" a match counts only from a host that may send for the domain', async () => {
      const changes = { whitelist: { require: 'spf' } }
      const { send, verdicts } = await start({ whitelist: ['friend@far.example'], changes })
      const sender = 'friend@far.example'
      expect((await send({ from: '127.0.2.7', sender })).isTaken).toBe(true)
      expect((await send({ from: '127.0.2.8', sender })).last).toMatch(/^550 5\.7\.1/)
      await expect.poll(() => verdicts().length).toBe(2)
      expect(verdicts()[0]).toMatchObject({ layer: 'whitelist', finding: 'whitelisted' })
      expect(verdicts()[1]?.['evidence']).toContain('whitelist indeterminate spf-fail')
    })

    test('B10 a dialup of the database goes straight to active user', async () => {
      const databases = { dialup: ['127.0.2.0/24'], relay: ['127.0.2.0/24'] }
      const { send, verdicts } = await start({ lists: databases })
      const before = internet.dns.questions.length
      expect((await send({ from: '127.0.2.7' })).isTaken).toBe(true)
      const forged = { from: '127.0.2.8', sender: 'nobody@good.example' }
      expect((await send(forged)).last).toMatch(/^550 5\.1\.8/)
      const asked = internet.dns.questions.slice(before)
      expect(asked.filter((each) => each.startsWith('PTR'))).toEqual([])
      await expect.poll(() => verdicts().length).toBe(2)
      const [passed, refused] = verdicts().map((record) => record['evidence'] as string[])
      expect(passed).toEqual(annaExists)
      expect(refused?.[0]).toBe('user positive no-such-user')
    })

    test('B12 an open relay of the database passes and gets no RCPT', async () => {
      const before = internet.sessionsAt('127.0.5.1').length
      const { send, verdicts } = await start({ lists: { relay: ['127.0.5.1'] } })
      expect((await send({ from: '127.0.5.1' })).isTaken).toBe(true)
      await expect.poll(() => verdicts().length).toBe(1)
      const evidence = verdicts()[0]?.['evidence']
      const unasked = ['relay negative not-asked', 'reverse connection made']
      expect(evidence).toEqual([...unasked, ...annaExists])
      const asked = commandsAt('127.0.5.1', before)
      expect(asked.filter((line) => line.startsWith('RCPT'))).toEqual([])
    })

    test('B17 off: one exchanger is tried, and the letter passes as indeterminate', async () => {
      const before = internet.sessionsAt('127.0.1.2').length
      const { send, verdicts } = await start({ changes: { tests: { user: { next_mx: false } } } })
      const sent = await send({ from: '127.0.1.1', sender: 'dora@half.example' })
      expect(sent.isTaken).toBe(true)
      expect(internet.sessionsAt('127.0.1.2').length).toBe(before)
      await expect.poll(() => verdicts().length).toBe(1)
      expect(verdicts()[0]?.['evidence']).toContain('user indeterminate unreachable')
    })

    test('B18 deeper questions refuse on their own refusal; the default stops at RCPT', async () => {
      const exists = { found: 'user negative user-exists', step: '' }
      const gone = (step: string) => ({
        found: 'user positive no-such-user',
        step: `sender ${step}: 550`,
      })
      const depths = [
        { depth: 'rcpt', sender: 'x@late.example', want: /^250/, ...exists },
        { depth: 'data', sender: 'x@late.example', want: /^550 5\.1\.8/, ...gone('data') },
        { depth: 'data', sender: 'x@later.example', want: /^250/, ...exists },
        { depth: 'message', sender: 'x@later.example', want: /^550 5\.1\.8/, ...gone('message') },
      ]
      for (const { depth, sender, want, found, step } of depths) {
        const { send, end, verdicts } = await start({ changes: { tests: { user: { depth } } } })
        expect((await send({ from: '127.0.1.1', sender })).last, depth).toMatch(want)
        await expect.poll(() => verdicts().length).toBe(1)
        const told = verdicts()[0]?.['evidence'] as string[]
        expect(told, depth).toContain(found)
        expect(told.join('\n'), depth).toContain(step)
        await end()
        proxy = undefined
      }
    })

    test('observe lets pass, says what would have happened, and lists nobody', async () => {
      const mode = { mode: 'observe' }
      const { send, recordsOf, listings } = await start({
        changes: { tests: { dialup: mode, relay: mode, user: mode } },
      })
      const letter = { from: '127.0.2.7', sender: 'nobody@good.example' }
      expect((await send(letter)).isTaken).toBe(true)
      const found = () => recordsOf('finding').map((record) => record['finding'])
      await expect.poll(found).toEqual(expect.arrayContaining(['pool-name', 'no-such-user']))
      expect(listings()).toEqual([])
    })

    test('tempfail refuses for now; indeterminate may be refused for now too', async () => {
      const mode = { mode: 'tempfail' }
      const { send } = await start({
        changes: {
          tests: { dialup: mode, relay: { ...mode, indeterminate: 'tempfail' }, user: mode },
        },
      })
      expect((await send({ from: '127.0.6.13' })).last).toMatch(/^450 4\.7\.1 /)
      const forged = { from: '127.0.1.1', sender: 'nobody@good.example' }
      expect((await send(forged)).last).toMatch(/^450 4\.1\.8 /)
      expect((await send({ from: '127.0.2.7' })).last).toMatch(/^450 4\.7\.1 /)
    })

    test('off: nothing is asked', async () => {
      const off = { mode: 'off' }
      const before = [internet.allSessions().length, internet.dns.questions.length]
      const { send } = await start({ changes: { tests: { dialup: off, relay: off, user: off } } })
      const letter = { from: '127.0.5.1', sender: 'nobody@good.example' }
      expect((await send(letter)).isTaken).toBe(true)
      expect([internet.allSessions().length, internet.dns.questions.length]).toEqual(before)
    })

    test('B20 the proxy itself passes the relay probes, from a trusted host too', async () => {
      const { send } = await start({ lists: { trusted: ['127.0.1.1'] } })
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

    test('call-ahead: an unknown recipient is refused and nobody else is asked; a known one is tested', async () => {
      internet.mailhost.users = ['ann', 'postbox']
      const before = internet.allSessions().length
      const { send, recordsOf, verdicts } = await start({
        changes: { tests: { user: { call_ahead: true } } },
      })
      const letter = { from: '127.0.5.1', recipients: ['nobody@home.example'] }
      expect((await send(letter)).last).toMatch(/^550 5\.1\.1 .*id=/)
      expect((await send(letter)).last).toMatch(/^550 5\.1\.1 .*id=/)
      expect(internet.allSessions().length).toBe(before)
      const asked = () => recordsOf('probe').map(({ test, key }) => `${test} ${key}`)
      await expect.poll(asked).toEqual(['recipient nobody@home.example'])
      const known = { ...letter, recipients: ['ann@home.example'] }
      expect((await send(known)).last).toMatch(/^550 5\.7\.1/)
      await expect.poll(() => verdicts().length).toBe(3)
      expect(verdicts()[0]).toMatchObject({ layer: 'recipient', finding: 'no-such-user' })
    })

    test('B7 learnt: whom a trusted host of ours writes to may write back; nobody else writes there', async () => {
      const { send, learnt } = await start({
        lists: { trusted: ['127.0.9.9'] },
        changes: {
          whitelist: { learn: true },
          recipients: { domains: ['home.example'], partners: ['partner.example'] },
        },
      })
      const out = { sender: 'ann@home.example', recipients: ['Jos@partner.example'] }
      expect((await send({ from: '127.0.1.1', ...out })).last).toMatch(/^550 5\.7\.1/)
      expect((await send({ from: '127.0.9.9', ...out })).isTaken).toBe(true)
      const bounce = { sender: '', recipients: ['victim@partner.example'] }
      expect((await send({ from: '127.0.9.9', ...bounce })).isTaken).toBe(true)
      await expect
        .poll(() => {
          learnt?.store.flush()
          return learnt?.whitelist.find('jos@partner.example')?.source
        })
        .toBe('learnt')
      const back = { from: '127.0.2.7', sender: 'jos@partner.example' }
      expect((await send(back)).isTaken).toBe(true)
      expect(learnt?.whitelist.has('victim@partner.example')).toBe(false)
    })

    test('the commands: probes off and on, cache show and flush, probe', async () => {
      const { send, commands } = await start({ changes: { feedback: { layers: [] } } })
      await commands['probes']?.({ action: 'off' })
      expect((await send({ from: '127.0.5.1' })).isTaken).toBe(true)
      await commands['probes']?.({ action: 'on' })
      expect((await send({ from: '127.0.5.1' })).last).toMatch(/^550/)
      const shown = await commands['cache']?.({ action: 'show', key: 'h:' })
      expect(JSON.stringify(shown)).toContain('open-relay')
      expect(await commands['cache']?.({ action: 'flush', key: '' })).toMatchObject({ flushed: 1 })
      const asked = await commands['probe']?.({ subject: 'nobody@good.example' })
      expect(asked).toMatchObject({ finding: { name: 'no-such-user' } })
      const nonsense = commands['probe']?.({ subject: 'nonsense' })
      await expect(nonsense).rejects.toThrow(/write an IP address/)
      const wrong = { subject: '127.0.5.1', test: 'user' }
      await expect(commands['probe']?.(wrong)).rejects.toThrow(/user asks about a sender/)
    })
  })
}

describe('of all these', () => {
  test('no probe ever sent a message', () => {
    expect(internet.allSessions().length).toBeGreaterThan(50)
    expect(internet.allSessions().filter((session) => session.isMessageEnded)).toEqual([])
  })
})

function mergeLists(one: Record<string, unknown>, other: Record<string, unknown>) {
  const lists = { ...(one['lists'] as object), ...(other['lists'] as object) }
  return { ...one, ...other, ...(Object.keys(lists).length === 0 ? {} : { lists }) }
}
