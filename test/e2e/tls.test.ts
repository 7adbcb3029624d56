/**
 * TLS on both legs with real programs: swaks and Postfix, sessions of our own and shared ones.
 */
import { spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { expect, test } from 'vitest'
import { DaemonStub } from '../../src/tls/daemon-stub.ts'
import { sharedNameOf } from '../../src/tls/options.ts'
import { describeWith, needsPerlModule, needsProgram, needsRoot } from '../support/needs.ts'
import { freePort } from '../support/ports.ts'
import { type Postfix, startPostfix } from '../support/postfix.ts'
import { swaks } from '../support/programs.ts'
import { startRecordingMailhost, usualKeywords } from '../support/recording-mailhost.ts'
import { type Application, follow, newFolder, startDaemon } from '../tls/support/processes.ts'
import { certificateOf, handshakesOf, tlsScene } from '../tls/support/scene.ts'

const scene = tlsScene()

async function filed(postfix: Postfix, count: number): Promise<void> {
  await expect.poll(() => postfix.messages().length, { timeout: 30_000 }).toBe(count)
}

const needs = [
  needsProgram('postfix', 'swaks', 'openssl'),
  needsPerlModule('Net::SSLeay'),
  needsRoot(),
]

describeWith(needs, 'TLS with Postfix', () => {
  test('swaks --tls in, a mailhost with required TLS out: encrypted on both legs', async () => {
    const postfix = await scene.postfix('smtpd_tls_security_level = encrypt')
    const proxy = await scene.proxyBefore(postfix.port, {
      tls: certificateOf(scene.service),
      mailhost: {
        tls: 'required',
        ca: scene.authority.caFile,
        servername: 'mailhost.example.test',
      },
    })
    const sent = await swaks(proxy.port, '--to', 'b@example.test', '--tls', '--body', 'over two')
    expect(sent.output).toContain('250 2.0.0 Ok: queued as')
    await filed(postfix, 1)
    expect(postfix.messages()[0]).toContain('with ESMTPS')
    expect(handshakesOf(postfix)).toBe(1)
    const verdict = { action: 'pass', tls: expect.stringMatching(/^TLSv1\.3 TLS_/) }
    await expect.poll(() => proxy.verdicts()).toMatchObject([verdict])
  })

  test('required TLS and a certificate of another name: 451, nothing in the clear', async () => {
    const postfix = await scene.postfix()
    const proxy = await scene.proxyBefore(postfix.port, {
      mailhost: {
        tls: 'required',
        ca: scene.authority.caFile,
        servername: 'wrong.example.test',
        wait: '2s',
      },
    })
    const sent = await swaks(proxy.port, '--to', 'b@example.test')
    expect(sent.output).toMatch(/451 4\.[34]/)
    expect(postfix.messages().length).toBe(0)
  })

  test('Postfix as the client, with TLS enforced and our certificate checked, delivers over STARTTLS', async () => {
    const far = await scene.postfix()
    const proxy = await scene.proxyBefore(far.port, {
      tls: certificateOf(scene.service),
      recipients: { domains: ['far.test', 'example.test'] },
    })
    const near = await startPostfix([
      'virtual_mailbox_domains =',
      `relayhost = [127.0.0.1]:${proxy.port}`,
      'smtp_host_lookup = native',
      'smtp_tls_security_level = secure',
      'smtp_tls_secure_cert_match = mx.example.test',
      `smtp_tls_CAfile = ${scene.authority.caFile}`,
      'smtp_tls_loglevel = 1',
    ])
    scene.atEnd(() => near.remove())
    for (let round = 0; round < 2; round++) {
      await swaks(near.port, '--to', 'b@example.test', '--body', 'from Postfix')
    }
    await filed(far, 2)
    expect(near.log().match(/status=sent \(250 2\.0\.0 Ok/g)?.length).toBe(2)
    expect(near.log()).toMatch(/Verified TLS connection established to 127\.0\.0\.1.*TLSv1\.3/)
    const tls = expect.stringMatching(/^TLSv1\.3 /)
    await expect.poll(() => proxy.verdicts()).toMatchObject([{ tls }, { tls }])
  })

  for (const sessions of ['pooled', 'shared'] as const) {
    test(`opportunistic, ${sessions}: 421 to STARTTLS is an end, not a lack of TLS: nothing in the clear`, async () => {
      let isClosing = true
      const mailhost = await startRecordingMailhost({
        tls: scene.mailhost,
        answer: (command) =>
          isClosing && command === 'STARTTLS' ? '421 4.3.2 closing' : undefined,
      })
      scene.atEnd(() => mailhost.stop())
      const daemon = await scene.daemon()
      const proxy = await scene.proxyBefore(mailhost.port, {
        mailhost: { tls: 'opportunistic', sessions },
        tls_daemon: { socket: daemon.socket },
      })
      const send = async () => (await swaks(proxy.port, '--to', 'b@example.test')).output
      expect(await send()).toMatch(/451 4\.[34]/)
      expect(mailhost.commands.filter((command) => /^MAIL/.test(command))).toEqual([])
      isClosing = false
      await expect.poll(send, { timeout: 60_000 }).toContain('Recorded')
      const carrying = mailhost.sessions.filter(({ commands }) => commands.includes('DATA'))
      expect(carrying.length).toBeGreaterThan(0)
      for (const { commands } of carrying) expect(commands).not.toContain('STARTTLS')
    })
  }

  test('opportunistic: a mailhost without TLS gets plain text', async () => {
    const postfix = await startPostfix()
    scene.atEnd(() => postfix.remove())
    const proxy = await scene.proxyBefore(postfix.port, { mailhost: { tls: 'opportunistic' } })
    await swaks(proxy.port, '--to', 'b@example.test')
    await filed(postfix, 1)
    expect(handshakesOf(postfix)).toBe(0)
  })

  for (const isRefused of [false, true]) {
    const how = isRefused ? 'refuses STARTTLS' : 'does not offer STARTTLS'
    test(`opportunistic over shared sessions: a mailhost that ${how} gets plain text`, async () => {
      const mailhost = await startRecordingMailhost({
        keywords: [...usualKeywords, ...(isRefused ? ['STARTTLS'] : [])],
        answer: (command) => (command === 'STARTTLS' ? '454 4.7.0 not now' : undefined),
      })
      scene.atEnd(() => mailhost.stop())
      const daemon = await scene.daemon()
      const proxy = await scene.proxyBefore(mailhost.port, {
        mailhost: { tls: 'opportunistic', sessions: 'shared' },
        tls_daemon: { socket: daemon.socket },
      })
      for (let round = 0; round < 3; round++) {
        const sent = await swaks(proxy.port, '--to', 'b@example.test', '--body', 'in the clear')
        expect(sent.output).toContain('250 ')
      }
      expect(mailhost.messages.length).toBe(3)
      expect(mailhost.commands.filter((command) => command === 'STARTTLS').length).toBe(
        isRefused ? 1 : 0,
      )
    })
  }

  test('opportunistic over shared sessions: a mailhost that greets with 421 is asked for TLS afterwards', async () => {
    let greeting = '421 4.3.2 busy'
    const mailhost = await startRecordingMailhost({
      keywords: [...usualKeywords, 'STARTTLS'],
      answer: (command) => (command === 'STARTTLS' ? '454 4.7.0 not now' : undefined),
      get greeting() {
        return greeting
      },
    })
    scene.atEnd(() => mailhost.stop())
    const daemon = await scene.daemon()
    const proxy = await scene.proxyBefore(mailhost.port, {
      mailhost: { tls: 'opportunistic', sessions: 'shared' },
      tls_daemon: { socket: daemon.socket },
    })
    const send = async () => (await swaks(proxy.port, '--to', 'b@example.test')).output
    expect(await send()).toMatch(/451 4\.[34]/)
    expect(mailhost.commands).toEqual([])
    greeting = '220 mailhost.example.test ESMTP'
    await expect
      .poll(() => mailhost.commands.slice(0, 2), { timeout: 60_000 })
      .toEqual(['EHLO mx.example.test', 'STARTTLS'])
    await expect.poll(send, { timeout: 60_000 }).toContain('Recorded')
  })

  test('opportunistic over shared sessions: a mailhost with TLS gets it, unchecked', async () => {
    const postfix = await scene.postfix()
    const daemon = await scene.daemon()
    const proxy = await scene.proxyBefore(postfix.port, {
      mailhost: { tls: 'opportunistic', sessions: 'shared' },
      tls_daemon: { socket: daemon.socket },
    })
    for (let round = 0; round < 2; round++) await swaks(proxy.port, '--to', 'b@example.test')
    await filed(postfix, 2)
    expect(handshakesOf(postfix)).toBe(1)
  })

  test('B28: two proxies and another program send over one shared session: one handshake', async () => {
    const postfix = await scene.postfix()
    const daemon = await scene.daemon()
    const one = await scene.proxyBefore(postfix.port, scene.sharedMailhost(daemon.socket))
    const two = await scene.proxyBefore(postfix.port, scene.sharedMailhost(daemon.socket))
    for (const proxy of [one, two, one]) {
      const sent = await swaks(proxy.port, '--to', 'b@example.test', '--body', 'shared')
      expect(sent.output).toContain('queued as')
    }
    const app = scene.application(daemon.socket)
    await sendThrough(app, postfix, 'from another program')
    const again = await swaks(two.port, '--to', 'b@example.test', '--body', 'and on')
    expect(again.output).toContain('queued as')
    await filed(postfix, 5)
    expect(handshakesOf(postfix)).toBe(1)
  })

  test('instances of different names each have a session of one daemon', async () => {
    const postfix = await scene.postfix()
    const daemon = await scene.daemon()
    const settings = scene.sharedMailhost(daemon.socket)
    const one = await scene.proxyBefore(postfix.port, settings)
    const two = await scene.proxyBefore(postfix.port, { ...settings, name: 'mx2.example.test' })
    for (const proxy of [one, two, one, two]) {
      const sent = await swaks(proxy.port, '--to', 'b@example.test', '--body', 'of each')
      expect(sent.output).toContain('queued as')
    }
    await filed(postfix, 4)
    expect(handshakesOf(postfix)).toBe(2)
    const stub = new DaemonStub(daemon.socket)
    expect(await stub.statistics()).toMatchObject({
      sessions: [{ handshakes: 1 }, { handshakes: 1 }],
    })
    stub.close()
  })

  /** The session that the proxies share, by the same name and checks. */
  function sharedOptions(postfix: Postfix) {
    const asked = {
      host: '127.0.0.1',
      port: postfix.port,
      starttls: 'smtp',
      ehlo: 'mx.example.test',
      servername: 'mailhost.example.test',
      insecure: false,
      ca: scene.authority.ca,
    } as const
    const shared = sharedNameOf(`mailhost-127.0.0.1:${postfix.port}`, asked)
    return { ...asked, shared }
  }

  async function sendThrough(app: Application, postfix: Postfix, text: string): Promise<void> {
    await app.ask({ do: 'new', session: 's', options: sharedOptions(postfix) })
    expect(await app.ask({ do: 'lease', session: 's', lease: 'l' })).toMatchObject({ code: 'none' })
    const say = async (line: string): Promise<string> => {
      const data = Buffer.from(line).toString('base64')
      await app.ask({ do: 'write', session: 's', lease: 'l', data })
      const { data: answer } = await app.ask({ do: 'read', session: 's', lease: 'l' })
      return Buffer.from(String(answer), 'base64').toString()
    }
    expect(await say('MAIL FROM:<app@x.example>\r\n')).toMatch(/^250 /)
    expect(await say('RCPT TO:<b@example.test>\r\n')).toMatch(/^250 /)
    expect(await say('DATA\r\n')).toMatch(/^354 /)
    expect(await say(`Subject: x\r\n\r\n${text}\r\n.\r\n`)).toMatch(/^250 /)
    await app.ask({ do: 'release', lease: 'l' })
  }

  test('A9: three processes, one SMTP session over STARTTLS: Postfix counts one handshake', async () => {
    const postfix = await scene.postfix()
    const daemon = await scene.daemon()
    const apps = [1, 2, 3].map(() => scene.application(daemon.socket))
    await Promise.all(apps.map((app, at) => sendThrough(app, postfix, `message ${at}`)))
    await filed(postfix, 3)
    expect(handshakesOf(postfix)).toBe(1)
    const stub = new DaemonStub(daemon.socket)
    const statistics = await stub.statistics()
    expect(statistics).toMatchObject({ sessions: [{ handshakes: 1, leases: 3, open: 1 }] })
    stub.close()
  })

  test('A20: a tenant that dies inside DATA sends nothing; the next one gets a whole session', async () => {
    const postfix = await scene.postfix()
    const daemon = await scene.daemon()
    const [dying, heir] = [scene.application(daemon.socket), scene.application(daemon.socket)]
    await dying.ask({ do: 'new', session: 's', options: sharedOptions(postfix) })
    await dying.ask({ do: 'lease', session: 's', lease: 'l' })
    const envelope = 'MAIL FROM:<a@x.example>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n'
    for (const text of [envelope, 'half a mess']) {
      const data = Buffer.from(text).toString('base64')
      await dying.ask({ do: 'write', session: 's', lease: 'l', data })
      if (text === envelope)
        await dying.ask({ do: 'readAll', session: 's', lease: 'l', octetsMax: 60 })
    }
    const sending = sendThrough(heir, postfix, 'whole')
    await dying.end('SIGKILL')
    await sending
    await filed(postfix, 1)
    expect(postfix.messages()[0]).toContain('whole')
  })

  test('B28: with the daemon away the direct connection takes over; back again, it is used', async () => {
    const postfix = await scene.postfix()
    const folder = newFolder()
    scene.atEnd(() => rmSync(folder, { recursive: true, force: true }))
    const daemon = await startDaemon([], { folder })
    const proxy = await scene.proxyBefore(postfix.port, scene.sharedMailhost(daemon.socket))
    const send = async (): Promise<void> => {
      const sent = await swaks(proxy.port, '--to', 'b@example.test')
      expect(sent.output).toContain('queued as')
    }
    await send()
    await daemon.end('SIGKILL')
    await send()
    await send()
    const back = await startDaemon([], { folder })
    scene.atEnd(() => back.end('SIGKILL'))
    let sent = 3
    const stub = new DaemonStub(back.socket)
    // Octets of tenants: a session that was only opened has none.
    const sendOnce = async (): Promise<number> => {
      await send()
      sent++
      const statistics = await stub.statistics()
      return 'sessions' in statistics ? (statistics.sessions[0]?.octetsOut ?? 0) : 0
    }
    await expect.poll(sendOnce, { timeout: 60_000 }).toBeGreaterThan(0)
    await filed(postfix, sent)
    stub.close()
  })

  test('any plain program speaks SMTP over the shared session: tls wrap --listen', async () => {
    const { run } = await import('../tls/support/processes.ts')
    const postfix = await scene.postfix()
    const daemon = await scene.daemon()
    for (const shared of [['--shared', 'wrapped'], []]) {
      const words = [
        '--listen',
        '0',
        '--to',
        `127.0.0.1:${postfix.port}`,
        '--starttls',
        'smtp',
        '--json',
      ]
      const checks = ['--ca', scene.authority.caFile, '--servername', 'mailhost.example.test']
      const command = ['tls', 'wrap', ...words, ...checks, ...shared, '--daemon', daemon.socket]
      const wrap = run('src/cli/activemx.js', command)
      scene.atEnd(() => wrap.end('SIGKILL'))
      const { port } = JSON.parse(await wrap.line()) as { port: number }
      const before = handshakesOf(postfix)
      for (let round = 0; round < 2; round++) {
        const sent = await swaks(port, '--to', 'b@example.test', '--body', 'wrapped')
        expect(sent.output).toContain('queued as')
        expect(sent.output).toContain('221')
      }
      expect(handshakesOf(postfix) - before).toBe(shared.length > 0 ? 1 : 2)
    }
    await filed(postfix, 4)
  })

  test('A9: openssl s_server as the peer counts one handshake for three processes', async () => {
    const port = await freePort()
    const words = [
      '-accept',
      String(port),
      '-cert',
      scene.service.certificateFile,
      '-key',
      scene.service.keyFile,
    ]
    const server = spawn('openssl', ['s_server', ...words, '-rev'])
    let told = ''
    server.stderr.on('data', (chunk: Buffer) => {
      told += chunk
    })
    const following = follow(server)
    scene.atEnd(() => following.end('SIGKILL'))
    while (!(await following.line()).includes('ACCEPT'));
    const daemon = await scene.daemon()
    const apps = [1, 2, 3].map(() => scene.application(daemon.socket))
    const options = {
      shared: 'reverse',
      host: '127.0.0.1',
      port,
      ca: scene.authority.ca,
      servername: 'mx.example.test',
    }
    for (const [at, app] of apps.entries()) {
      await app.ask({ do: 'new', session: 's', options })
      await app.ask({ do: 'connect', session: 's' })
      await app.ask({ do: 'lease', session: 's', lease: 'l' })
      const data = Buffer.from(`${at}bcd\n`).toString('base64')
      await app.ask({ do: 'write', session: 's', lease: 'l', data })
      const { data: back } = await app.ask({
        do: 'readAll',
        session: 's',
        lease: 'l',
        octetsMax: 5,
      })
      expect(Buffer.from(String(back), 'base64').toString()).toBe(`dcb${at}\n`)
      await app.ask({ do: 'release', lease: 'l' })
    }
    const stub = new DaemonStub(daemon.socket)
    expect(await stub.statistics()).toMatchObject({ sessions: [{ handshakes: 1, holders: 3 }] })
    stub.close()
    await expect.poll(() => told).toContain('CONNECTION ESTABLISHED')
    expect(told.match(/CONNECTION ESTABLISHED/g)).toHaveLength(1)
  })
})
