/**
 * A daemon that does not serve is told: of another version, or away, mail goes on over direct
 * connections, and the log and `status` say so, once for each change.
 */
import { rmSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { tlsCodes } from '../../src/tls/api.ts'
import {
  answerBit,
  callKinds,
  encodeFrame,
  headerOctets,
  helloMagic,
  wireVersion,
} from '../../src/tls/wire.ts'
import { startRecordingMailhost } from '../support/recording-mailhost.ts'
import type { TestProxy } from '../support/running-proxy.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { newFolder, startDaemon } from '../tls/support/processes.ts'
import { tlsScene } from '../tls/support/scene.ts'

const scene = tlsScene()

/** Refuses every hello as a daemon of version 1 does; counts them. */
class OldDaemon {
  hellos = 0
  readonly #server = net.createServer((socket) => {
    socket.on('error', () => socket.destroy())
    socket.once('data', (hello: Buffer) => {
      this.hellos++
      const version = hello[headerOctets + helloMagic.length]
      const text = `frames of version ${version}; this daemon speaks 1`
      const kind = callKinds.hello | answerBit
      const code = tlsCodes.indexOf('refused')
      const header = { kind, flags: 0, priority: 0, code, request: 0, lease: 0 }
      socket.end(encodeFrame(header, Buffer.from(text)))
    })
  })

  listen(path: string): Promise<void> {
    return new Promise((resolve) => this.#server.listen(path, resolve))
  }

  close(): Promise<unknown> {
    return new Promise((resolve) => this.#server.close(resolve))
  }
}

async function send({ port }: TestProxy): Promise<void> {
  const client = await SmtpClient.open(port)
  for (const line of ['EHLO c', 'MAIL FROM:<a@x.example>', 'RCPT TO:<b@example.test>']) {
    expect(await client.says(line)).toMatch(/^250/)
  }
  expect(await client.says('DATA')).toMatch(/^354/)
  expect(await client.says('Subject: one\r\n\r\none\r\n.')).toMatch(/^250/)
  client.leave()
}

/** What the system log says of the daemon. */
function told(proxy: TestProxy): readonly string[] {
  return proxy
    .records()
    .filter(({ event, what }) => event === 'service' && what === 'tls')
    .map(({ detail }) => String(detail))
}

describe('how the TLS daemon stands', () => {
  test('of another version: one line with both versions and the remedy, and one when it serves', async () => {
    const mailhost = await startRecordingMailhost({ tls: scene.mailhost })
    scene.atEnd(() => mailhost.stop())
    const folder = newFolder()
    scene.atEnd(() => rmSync(folder, { recursive: true, force: true }))
    const socket = join(folder, 'tls.sock')
    const old = new OldDaemon()
    await old.listen(socket)
    // A session for each message: each asks the daemon. Two threads: the instance tells once.
    const settings = scene.sharedMailhost(socket, { messages_per_session_max: 1, sessions_max: 2 })
    const proxy = await scene.proxyBefore(mailhost.port, {
      ...settings,
      listen: { smtp: ['127.0.0.1:0'], per_address_max: 0, rate_max: '', workers: 2 },
    })
    for (let at = 0; at < 6; at++) await send(proxy)
    expect(mailhost.messages.length).toBe(6)
    expect(old.hellos).toBeGreaterThanOrEqual(6)
    const why = `frames of version ${wireVersion}; this daemon speaks 1: restart the daemon`
    expect(told(proxy)).toEqual([expect.stringContaining(why)])
    expect(proxy.status().tlsDaemon).toEqual({ socket, code: 'refused', message: why, lost: 0 })
    expect(proxy.status().counters.plain.direct).toBeGreaterThanOrEqual(6)

    await old.close()
    const daemon = await startDaemon([], { folder })
    scene.atEnd(() => daemon.end('SIGKILL'))
    await send(proxy)
    await expect.poll(() => told(proxy).length, { timeout: 20_000 }).toBe(2)
    expect(told(proxy)[1]).toMatch(/serves: sessions are shared$/)
    expect(proxy.status().tlsDaemon).toEqual({ socket, code: 'none', message: '', lost: 0 })
    expect(mailhost.messages.length).toBe(7)

    await daemon.end('SIGKILL')
    await send(proxy)
    await expect.poll(() => told(proxy).length, { timeout: 20_000 }).toBe(3)
    expect(told(proxy)[2]).toMatch(/does not serve: .*tls\.sock.*connects directly$/)
    expect(proxy.status().tlsDaemon).toMatchObject({ code: 'daemonGone', lost: 1 })
    expect(mailhost.messages.length).toBe(8)
  })
})
