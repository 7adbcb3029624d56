/**
 * B26, Show 6: how long a client waits for the tests, where it waits (`tests.at`), and that neither
 * a tarpit nor a second connection is a way round them. On the native way and on the twins.
 */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type Internet, startInternet } from '../internet/internet.ts'
import { town } from '../internet/worlds/town.ts'
import { describeWith, needsAddon } from '../support/needs.ts'
import {
  type ProbingParts,
  type ProbingProxy,
  startProbingProxy,
} from '../support/probing-proxy.ts'

let internet: Internet
let proxy: ProbingProxy | undefined
beforeAll(async () => {
  internet = await startInternet({ ...town, names: { '127.0.4.3': 'no-answer' } })
})
afterEach(async () => {
  await proxy?.end()
  proxy = undefined
})
afterAll(() => internet.close())

const ways = [
  { way: 'native threads', isNative: true, needs: needsAddon() },
  { way: 'the twins', isNative: false, needs: undefined },
]

for (const { way, isNative, needs } of ways) {
  const start = async (parts: ProbingParts): Promise<ProbingProxy> => {
    proxy = await startProbingProxy(internet, { isNative, ...parts })
    return proxy
  }

  describeWith([needs], way, () => {
    test.each([
      { at: 'mail', replies: 3 },
      { at: 'rcpt', replies: 4 },
      { at: 'data', replies: 5 },
    ])('Show 6: with tests.at = $at the refusal is reply $replies', async ({ at, replies }) => {
      const { send } = await start({ changes: { tests: { at }, feedback: { layers: [] } } })
      const sent = await send({ from: '127.0.5.1' })
      expect(sent.last).toMatch(/^550 5\.7\.1/)
      expect(sent.replies.findIndex((reply) => reply.startsWith('5')) + 1).toBe(replies)
      expect((await send({ from: '127.0.1.1' })).isTaken).toBe(true)
    })

    test.each(['mail', 'rcpt', 'data'])(
      'B26, Show 6: a tarpit as remote host at %s: answered in budget, a second connection is no way round',
      async (at) => {
        const { send } = await start({
          changes: {
            tests: { at, relay: { mode: 'enforce', indeterminate: 'tempfail' } },
            probe: { budget: '2s', connect_wait: '30s', reply_wait: '30s' },
          },
        })
        const both = await Promise.all([send({ from: '127.0.6.2' }), send({ from: '127.0.6.2' })])
        expect(both.map(({ isTaken }) => isTaken)).toEqual([false, false])
        for (const { last } of both) expect(last).toMatch(/^4/)
      },
    )

    const tarpits = [
      { what: 'remote host', layer: 'relay', from: '127.0.6.2', sender: 'anna@good.example' },
      {
        what: 'mailhost of the sender',
        layer: 'user',
        from: '127.0.1.1',
        sender: 'x@tarpit.example',
      },
      {
        what: 'DNS server of the sender',
        layer: 'user',
        from: '127.0.1.1',
        sender: 'x@slow.example',
      },
      {
        what: 'DNS server of the host',
        layer: 'dialup',
        from: '127.0.4.3',
        sender: 'anna@good.example',
      },
    ] as const

    test.each(tarpits)('B26 a tarpit as $what: budget-spent, within the budget', async (tarpit) => {
      const { layer, from, sender } = tarpit
      const tempfail = { mode: 'enforce', indeterminate: 'tempfail' }
      const { send, verdicts } = await start({
        changes: {
          tests: { relay: tempfail, dialup: tempfail, user: tempfail },
          probe: { budget: '1s', connect_wait: '30s', reply_wait: '30s' },
          dns: { wait: '30s' },
        },
      })
      expect((await send({ from, sender })).last).toMatch(/^450 4\.[17]\.[18] /)
      await expect.poll(() => verdicts().length, { timeout: 20_000 }).toBe(1)
      const record = verdicts()[0]
      // Nothing has been found out of a host whose dialup test has not ended: it is the relay
      // test's.
      const told = layer === 'dialup' ? 'relay' : layer
      expect(record).toMatchObject({ layer: told, finding: 'budget-spent', action: 'tempfail' })
      const evidence = record?.['evidence'] as readonly string[]
      const at = evidence.indexOf(`${told} indeterminate budget-spent`)
      expect(evidence[at + 1]).toBe('no answer within 1000 ms')
    })

    test.each([
      {
        what: 'remote host',
        from: '127.0.6.1',
        sender: 'anna@good.example',
        told: 'relay-unclear',
      },
      {
        what: 'mailhost of the sender',
        from: '127.0.1.1',
        sender: 'x@silent.example',
        told: 'timed-out',
      },
      { what: 'DNS server', from: '127.0.1.1', sender: 'x@slow.example', told: 'dns-trouble' },
    ])(
      'B26 a silent $what: a time-out of its own, told as $told',
      async ({ from, sender, told }) => {
        const { send, verdicts } = await start({})
        expect((await send({ from, sender })).isTaken).toBe(true)
        await expect.poll(() => verdicts().length, { timeout: 20_000 }).toBe(1)
        const evidence = verdicts()[0]?.['evidence'] as readonly string[]
        const lines = evidence.join('\n')
        expect(lines).toMatch(new RegExp(`^(relay|user) indeterminate ${told}$`, 'm'))
        expect(lines).toMatch(/^conversation timed-out$|^user .* timed-out$|: ETIMEOUT$/m)
      },
    )
  })
}
