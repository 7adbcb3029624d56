/**
 * The whole way with a real Postfix as mailhost and real clients. Show 2 of the main job.
 */
import { createTransport } from 'nodemailer'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { describeWith, needsProgram, needsRoot } from '../support/needs.ts'
import { type Postfix, startPostfix } from '../support/postfix.ts'
import { runProgram, swaks } from '../support/programs.ts'
import { startProxy, type TestProxy } from '../support/running-proxy.ts'

describeWith(
  [needsProgram('postfix', 'swaks', 'smtp-source'), needsRoot()],
  'Postfix as mailhost',
  () => {
    let postfix: Postfix
    let proxy: TestProxy

    beforeEach(async () => {
      postfix = await startPostfix()
      proxy = await startProxy([postfix.port])
    })

    afterEach(async () => {
      await proxy.end()
      postfix.remove()
    })

    test('B21: a message of swaks arrives, and the log has its verdict', async () => {
      const sent = await swaks(proxy.port, '--to', 'b@example.test', '--body', 'hello there')
      expect(sent.output).toContain('250 2.0.0 Ok: queued as')
      await expect.poll(() => postfix.messages().length, { timeout: 20_000 }).toBe(1)
      expect(postfix.messages()[0]).toContain('hello there')
      const verdict = { layer: 'transfer', action: 'pass', recipients: ['b@example.test'] }
      await expect.poll(() => proxy.verdicts()).toMatchObject([verdict])
    })

    test('the refusals of Postfix reach the client with class and code', async () => {
      const unknown = await swaks(proxy.port, '--to', 'nobody@example.test')
      expect(unknown.output).toMatch(/<\*\* 550 5\.1\.1 .*no such user/)
      const later = await swaks(proxy.port, '--to', 'later@example.test')
      expect(later.output).toMatch(/<\*\* 450 4\.2\.0 .*mailbox busy/)
      const some = await swaks(proxy.port, '--to', 'nobody@example.test,b@example.test')
      expect(some.output).toContain('250 2.0.0 Ok: queued as')
      await expect.poll(() => postfix.messages().length, { timeout: 20_000 }).toBe(1)
    })

    test('mailhost away: 451 4.4.1; it comes back and mail goes again', async () => {
      postfix.stop()
      const away = await swaks(proxy.port, '--to', 'b@example.test')
      expect(away.output).toContain('451 4.4.1')
      await postfix.start()
      const sendAgain = async () => (await swaks(proxy.port, '--to', 'b@example.test')).output
      await expect.poll(sendAgain, { timeout: 30_000 }).toContain('250 2.0.0 Ok: queued as')
    })

    test('nodemailer delivers, with attachment and two recipients', async () => {
      const transport = createTransport({ host: '127.0.0.1', port: proxy.port, ignoreTLS: true })
      const sent = await transport.sendMail({
        from: 'a@x.example',
        to: ['b@example.test', 'c@example.test'],
        subject: 'nodemailer',
        text: 'hello',
        attachments: [{ filename: 'a.bin', content: Buffer.alloc(200_000, 7) }],
      })
      transport.close()
      expect(sent.response).toMatch(/^250 2\.0\.0 Ok: queued/)
      expect(sent.accepted.length).toBe(2)
    })

    test('smtp-source: 200 messages in 20 sessions, none lost', async () => {
      const words = [
        '-s',
        '20',
        '-m',
        '200',
        '-l',
        '1024',
        '-f',
        'a@x.example',
        '-t',
        'b@example.test',
      ]
      const sent = await runProgram('smtp-source', [...words, `inet:127.0.0.1:${proxy.port}`])
      expect(sent).toEqual({ status: 0, output: '' })
      await expect.poll(() => postfix.messages().length, { timeout: 60_000 }).toBe(200)
      await expect.poll(() => proxy.verdicts().length).toBe(200)
    })
  },
)

const clients = [71, 72, 73]
const ourselves = 'mx.example.test (unknown [127.0.0.1])'
const opening = 'PROXY TCP4 127.0.0.1 127.0.0.1 1024 25\r\n'

/** Ways of telling Postfix who the client is, as its administrator sets them up. */
const ways = [
  { title: 'xforward', identity: 'xforward', told: 'orig_client', settings: [], parts: {} },
  { title: 'xclient', identity: 'xclient', told: 'client', settings: [], parts: {} },
  {
    title: 'proxy to smtpd',
    identity: 'proxy',
    told: 'client',
    settings: ['smtpd_upstream_proxy_protocol = haproxy'],
    parts: { opening },
  },
  {
    title: 'proxy to postscreen',
    identity: 'proxy',
    told: 'client',
    settings: ['postscreen_upstream_proxy_protocol = haproxy', 'postscreen_greet_wait = 1s'],
    parts: { opening, hasPostscreen: true },
  },
]

describeWith(
  [needsProgram('postfix', 'swaks'), needsRoot()],
  'client identity in the log of Postfix',
  () => {
    test.each(ways)('$title: each of three clients stands there with its message', async (way) => {
      const postfix = await startPostfix(way.settings, way.parts)
      const client_identity = way.identity
      const proxy = await startProxy([postfix.port], { mailhost: { client_identity } })
      try {
        for (const at of clients) {
          const from = ['--local-interface', `127.0.0.${at}`, '--ehlo', `c${at}.example`]
          const send = async () =>
            (await swaks(proxy.port, '--to', `b${at}@example.test`, ...from)).output
          await expect.poll(send, { timeout: 30_000 }).toContain('250 2.0.0 Ok: queued as')
        }
        await expect.poll(() => postfix.messages().length, { timeout: 30_000 }).toBe(3)
        for (const at of clients) {
          const [, id] = new RegExp(` (\\w+): to=<b${at}@`).exec(postfix.log()) ?? []
          const client = `${way.told}=unknown\\[127\\.0\\.0\\.${at}\\]`
          expect(postfix.log()).toMatch(new RegExp(` ${id}: .*${client}`))
          // XFORWARD is for the log; the others make Postfix take the client for its own.
          const isOwn = way.told === 'client'
          const peer = isOwn ? `c${at}.example (unknown [127.0.0.${at}])` : ourselves
          const text = postfix.messages().find((one) => one.includes(`b${at}@example.test`))
          expect(text).toContain(`Received: from ${peer}`)
        }
      } finally {
        await proxy.end()
        postfix.remove()
      }
    })
  },
)

describeWith([needsProgram('postfix', 'swaks'), needsRoot()], 'two mailhosts', () => {
  test('fail-over: the second takes the mail while the first is away, and in between', async () => {
    const [first, second] = await Promise.all([startPostfix(), startPostfix()])
    const proxy = await startProxy([first.port, second.port])
    try {
      const send = async () => (await swaks(proxy.port, '--to', 'b@example.test')).output
      expect(await send()).toContain('queued as')
      first.stop()
      expect(await send()).toContain('queued as')
      await expect.poll(() => second.messages().length, { timeout: 20_000 }).toBe(1)
      expect(first.messages().length).toBe(1)
    } finally {
      await proxy.end()
      first.remove()
      second.remove()
    }
  })

  test('routes by recipient domain, another route in the same transaction waits', async () => {
    const [first, second] = await Promise.all([startPostfix(), startPostfix()])
    const proxy = await startProxy([first.port], {
      recipients: { domains: ['example.test', 'other.test'] },
      mailhost: {
        route: [{ domains: ['other.test'], addresses: [`127.0.0.1:${second.port}`] }],
      },
    })
    try {
      const sent = await swaks(proxy.port, '--to', 'b@example.test,c@other.test')
      expect(sent.output).toContain('451 4.5.3')
      expect((await swaks(proxy.port, '--to', 'c@other.test')).output).toContain('queued as')
      await expect.poll(() => second.messages().length, { timeout: 20_000 }).toBe(1)
      expect(first.messages().length).toBe(1)
    } finally {
      await proxy.end()
      first.remove()
      second.remove()
    }
  })
})
