/**
 * STARTTLS of clients: what is offered, forgotten, refused and resumed (RFC 3207).
 */
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import tls from 'node:tls'
import { describe, expect, test } from 'vitest'
import { startRecordingMailhost } from '../support/recording-mailhost.ts'
import { testConfig } from '../support/running-proxy.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { certificateOf, tlsScene } from '../tls/support/scene.ts'

const scene = tlsScene()

describe('STARTTLS of clients', () => {
  const noMailhost = 9

  async function startTls(port: number, options: tls.ConnectionOptions = {}) {
    const client = await SmtpClient.open(port)
    await client.says('EHLO c')
    expect(await client.says('STARTTLS')).toMatch(/^220 /)
    client.socket.removeAllListeners('data')
    const socket = tls.connect({
      socket: client.socket,
      ca: scene.authority.ca,
      servername: 'mx.example.test',
      ...options,
    })
    const ticket = new Promise<Buffer>((resolve) => socket.on('session', resolve))
    await new Promise((resolve, reject) =>
      socket.once('secureConnect', resolve).once('error', reject),
    )
    return { socket, inside: new SmtpClient(socket), ticket }
  }

  test('tls.handshake_wait: who is silent after the 220 is let go', async () => {
    const proxy = await scene.proxyBefore(noMailhost, {
      tls: { ...certificateOf(scene.service), handshake_wait: '1s' },
    })
    const client = await SmtpClient.open(proxy.port)
    await client.says('EHLO c')
    expect(await client.says('STARTTLS')).toMatch(/^220 /)
    // The default is half a minute.
    await once(client.socket, 'close', { signal: AbortSignal.timeout(20_000) })
  })

  for (const last of ['EHLO c', 'DATA', 'a line without an end']) {
    test(`a client that falls silent inside TLS is let go in its time: behind ${last}`, async () => {
      const mailhost = await startRecordingMailhost()
      scene.atEnd(() => mailhost.stop())
      const proxy = await scene.proxyBefore(mailhost.port, {
        tls: certificateOf(scene.service),
        listen: { command_wait: '1s', data_wait: '1s', line_wait: '1s' },
      })
      const { inside } = await startTls(proxy.port)
      expect(await inside.says('EHLO c')).toMatch(/^250/)
      if (last === 'DATA') {
        await inside.saysAll('MAIL FROM:<a@x.example>', 'RCPT TO:<b@example.test>', 'DATA')
      } else if (last !== 'EHLO c') inside.send('NOO')
      await inside.closed()
      expect(inside.heard).toMatch(/421 4\.4\.2 protocol: timeout, closing, id=[\w-]+\r\n$/)
    })
  }

  test('EHLO offers it before TLS and not inside; what was said before is forgotten', async () => {
    const proxy = await scene.proxyBefore(noMailhost, { tls: certificateOf(scene.service) })
    const plain = await SmtpClient.open(proxy.port)
    expect(await plain.says('EHLO c')).toContain('STARTTLS')
    plain.socket.destroy()
    const { inside } = await startTls(proxy.port)
    expect(await inside.says('MAIL FROM:<a@x.example>')).toMatch(/^503 /)
    expect(await inside.says('EHLO c')).not.toContain('STARTTLS')
    expect(await inside.says('STARTTLS')).toMatch(/^50[23] /)
    expect(await inside.says('QUIT')).toMatch(/^221 /)
  })

  test('a stop finishes the transaction of a client inside TLS, for which no session stands yet', async () => {
    const mailhost = await startRecordingMailhost()
    scene.atEnd(() => mailhost.stop())
    const proxy = await scene.proxyBefore(mailhost.port, {
      tls: certificateOf(scene.service),
      mailhost: { idle: '100ms' },
    })
    const { inside } = await startTls(proxy.port)
    await inside.saysAll('EHLO c', 'MAIL FROM:<a@x.example>')
    const idle = await SmtpClient.open(proxy.port)
    const isGone = () => mailhost.sessions.every(({ socket }) => socket.destroyed)
    await expect.poll(isGone, { timeout: 20_000 }).toBe(true)
    const stopped = proxy.stop()
    expect(await idle.reply()).toMatch(/^421 4\.3\.2/)
    idle.leave()
    await expect.poll(() => proxy.status().gate.connections, { timeout: 20_000 }).toBe(1)
    expect(await inside.saysAll('RCPT TO:<b@example.test>', 'DATA')).toMatch(/^354/)
    expect(await inside.says('Subject: x\r\n\r\nbody\r\n.')).toMatch(/^250/)
    await stopped
    expect(mailhost.messages.length).toBe(1)
  })

  test('without a certificate it is neither offered nor taken', async () => {
    const proxy = await scene.proxyBefore(noMailhost)
    const client = await SmtpClient.open(proxy.port)
    expect(await client.says('EHLO c')).not.toContain('STARTTLS')
    expect(await client.says('STARTTLS')).toMatch(/^502 /)
  })

  for (const octets of ['NOOP\r\n', 'EHLO evil\r\nMAIL FROM:<evil@x>\r\n']) {
    test(`octets behind STARTTLS are refused: ${JSON.stringify(octets)}`, async () => {
      const proxy = await scene.proxyBefore(noMailhost, { tls: certificateOf(scene.service) })
      const client = await SmtpClient.open(proxy.port)
      await client.says('EHLO c')
      client.send(`STARTTLS\r\n${octets}`)
      expect(await client.reply()).toMatch(/^554 5\.5\.1/)
      expect(await client.reply()).toBe('')
      expect(client.isClosed).toBe(true)
    })
  }

  test('a parameter is refused and the session goes on', async () => {
    const proxy = await scene.proxyBefore(noMailhost, { tls: certificateOf(scene.service) })
    const client = await SmtpClient.open(proxy.port)
    await client.says('EHLO c')
    expect(await client.says('STARTTLS now')).toMatch(/^501 /)
    expect(await client.says('NOOP')).toMatch(/^250 /)
  })

  test('plain text in place of a ClientHello closes, and says nothing in the clear', async () => {
    const proxy = await scene.proxyBefore(noMailhost, { tls: certificateOf(scene.service) })
    const client = await SmtpClient.open(proxy.port)
    await client.saysAll('EHLO c', 'STARTTLS')
    const before = client.heard.length
    client.send('GET / HTTP/1.0\r\n\r\n')
    await client.reply()
    expect(client.isClosed).toBe(true)
    expect(client.heard.slice(before)).not.toMatch(/\d{3} /)
  })

  test('the name that a client asks for chooses the certificate', async () => {
    const other = scene.authority.issue('other.example.test')
    const sni = [{ names: ['other.example.test'], ...certificateOf(other) }]
    const proxy = await scene.proxyBefore(noMailhost, {
      tls: { ...certificateOf(scene.service), sni },
    })
    for (const servername of ['mx.example.test', 'other.example.test']) {
      const { socket } = await startTls(proxy.port, { servername })
      expect(socket.getPeerCertificate().subject.CN).toBe(servername)
      socket.destroy()
    }
  })

  test('a name that nobody here has gets the first certificate', async () => {
    const other = scene.authority.issue('other.example.test')
    const sni = [{ names: ['other.example.test'], ...certificateOf(other) }]
    const proxy = await scene.proxyBefore(noMailhost, {
      tls: { ...certificateOf(scene.service), sni },
    })
    for (const servername of ['unknown.example.test', '']) {
      const { socket } = await startTls(proxy.port, { servername, rejectUnauthorized: false })
      expect(socket.getPeerCertificate().subject.CN).toBe('mx.example.test')
      socket.destroy()
    }
  })

  test('tls-session-daemon-327: the ticket of one name is not taken for another', async () => {
    const other = scene.authority.issue('other.example.test')
    const sni = [{ names: ['other.example.test'], ...certificateOf(other) }]
    const proxy = await scene.proxyBefore(noMailhost, {
      tls: { ...certificateOf(scene.service), sni },
    })
    const first = await startTls(proxy.port)
    await first.inside.says('NOOP')
    const session = await first.ticket
    first.socket.destroy()
    for (const [servername, isResumed] of [
      ['mx.example.test', true],
      ['other.example.test', false],
    ] as const) {
      const { socket } = await startTls(proxy.port, { session, servername })
      expect(socket.isSessionReused()).toBe(isResumed)
      if (!isResumed) expect(socket.getPeerCertificate().subject.CN).toBe(servername)
      socket.destroy()
    }
  })

  test('500 clients that stop inside STARTTLS keep nobody out', async () => {
    const proxy = await scene.proxyBefore(noMailhost, { tls: certificateOf(scene.service) })
    const halves = await Promise.all(
      Array.from({ length: 500 }, async () => {
        const client = await SmtpClient.open(proxy.port)
        await client.saysAll('EHLO c', 'STARTTLS')
        client.send(Uint8Array.of(0x16, 3, 1))
        return client
      }),
    )
    const { inside } = await startTls(proxy.port)
    expect(await inside.says('EHLO c')).toMatch(/^250/)
    for (const client of halves) client.leave()
    expect(await inside.says('QUIT')).toMatch(/^221 /)
  })

  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    test(`${version}: a ticket is good for every thread of another instance with the same secret, not for another service`, async () => {
      const secret = join(scene.authority.folder, 'secret')
      writeFileSync(secret, 'a secret that the instances of one service share')
      const settings = { ...certificateOf(scene.service), ticket_secret: secret }
      const one = await scene.proxyBefore(noMailhost, { tls: settings })
      const same = await scene.proxyBefore(noMailhost, { tls: settings, listen: { workers: 2 } })
      const foreign = await scene.proxyBefore(noMailhost, {
        tls: settings,
        name: 'else.example.test',
      })
      const versions = { minVersion: version, maxVersion: version }
      const first = await startTls(one.port, versions)
      await first.inside.says('NOOP')
      const session = await first.ticket
      first.socket.destroy()
      const wants = [
        { proxy: one, isResumed: true },
        // Connections go to its two threads in turn.
        ...Array.from({ length: 6 }, () => ({ proxy: same, isResumed: true })),
        { proxy: foreign, isResumed: false },
      ]
      for (const { proxy, isResumed } of wants) {
        const { socket } = await startTls(proxy.port, { ...versions, session })
        expect(socket.isSessionReused()).toBe(isResumed)
        socket.destroy()
      }
    })
  }

  test('a new certificate is used after a reload, a broken one keeps the old', async () => {
    const proxy = await scene.proxyBefore(noMailhost, { tls: certificateOf(scene.service) })
    const next = scene.authority.issue('mx.example.test')
    const serial = async (): Promise<string> => {
      const { socket } = await startTls(proxy.port)
      const { serialNumber } = socket.getPeerCertificate()
      socket.destroy()
      return serialNumber
    }
    const before = await serial()
    const broken = { certificate: next.certificateFile, key: scene.service.keyFile }
    await expect(proxy.reload(testConfig([noMailhost], { tls: broken }))).rejects.toThrow(
      /certificate/,
    )
    expect(await serial()).toBe(before)
    await proxy.reload(testConfig([noMailhost], { tls: certificateOf(next) }))
    expect(await serial()).not.toBe(before)
  })
})
