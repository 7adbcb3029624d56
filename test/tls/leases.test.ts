/**
 * A session leased for one conversation, between real processes.
 */
import type { TLSSocket } from 'node:tls'
import { describe, expect, test } from 'vitest'
import { DaemonStub } from '../../src/tls/daemon-stub.ts'
import { TlsWrapper } from '../../src/tls/wrapper.ts'
import type { Application } from './support/processes.ts'
import { base64, open, sessionScene, textOf } from './support/session-scene.ts'

const scene = sessionScene()

describe('A20: leases', () => {
  test('a conversation is nobody else’s: other tenants and common calls wait for its end', async () => {
    const daemon = await scene.daemon()
    const peer = await scene.peer('silent')
    const [one, two, common] = [1, 2, 3].map(() => scene.application(daemon.socket)) as [
      Application,
      Application,
      Application,
    ]
    for (const app of [one, two, common]) await open(app, scene.optionsOf(peer.port, 'leased'))
    await one.ask({ do: 'lease', session: 's', lease: 'l' })
    const second = two.ask({ do: 'lease', session: 's', lease: 'l' })
    // Two processes: which of them the daemon hears first is its own word only.
    const stub = new DaemonStub(daemon.socket)
    await expect.poll(() => stub.statistics()).toMatchObject({ sessions: [{ waiting: 1 }] })
    stub.close()
    const third = common.ask({ do: 'write', session: 's', data: base64('C') })
    await common.ask({ do: 'pid' })
    await one.ask({ do: 'write', session: 's', lease: 'l', data: base64('A') })
    await one.ask({ do: 'write', session: 's', lease: 'l', data: base64('A') })
    await one.ask({ do: 'release', lease: 'l' })
    await second
    await two.ask({ do: 'write', session: 's', lease: 'l', data: base64('B') })
    await two.ask({ do: 'release', lease: 'l' })
    await third
    await peer.receives(4)
    expect(peer.received().toString()).toBe('AABC')
    expect(peer.handshakes()).toBe(1)
  })

  test('a holder that dies gives its lease back to the one who waits', async () => {
    const daemon = await scene.daemon()
    const peer = await scene.peer('echo')
    const [dying, heir] = [scene.application(daemon.socket), scene.application(daemon.socket)]
    await open(dying, scene.optionsOf(peer.port, 'heritage'))
    await open(heir, scene.optionsOf(peer.port, 'heritage'))
    await dying.ask({ do: 'lease', session: 's', lease: 'l' })
    const waiting = heir.ask({ do: 'lease', session: 's', lease: 'l' })
    await heir.ask({ do: 'pid' })
    await dying.end('SIGKILL')
    expect(await waiting).toMatchObject({ code: 'none' })
    await heir.ask({ do: 'write', session: 's', lease: 'l', data: base64('mine now') })
    expect(textOf(await heir.ask({ do: 'read', session: 's', lease: 'l' }))).toBe('mine now')
  })

  test('a lease held too long is taken back; its calls answer refused', async () => {
    const daemon = await scene.daemon()
    const peer = await scene.peer('echo')
    const wrapper = new TlsWrapper({ daemon: daemon.socket })
    scene.atEnd(() => wrapper.close())
    const session = await wrapper.new(scene.optionsOf(peer.port, 'slow', { leaseMs: 100 }))
    await session.connect()
    const lease = await session.lease()
    expect(await session.read(10, { lease: lease.id })).toMatchObject({ code: 'refused' })
    expect((await session.lease()).code).toBe('none')
  })

  test('a lease that breaks is over at once, whatever of it waits for a peer that takes nothing', async () => {
    const daemon = await scene.daemon()
    const peer = await scene.peer('silent')
    const wrapper = scene.wrapper(daemon.socket)
    const session = await wrapper.new(scene.optionsOf(peer.port, 'stuck'))
    await session.connect()
    ;(await peer.connection(0)).pause()
    const lease = await session.lease()
    const call = { lease: lease.id }
    const writes = [60_000, 12_000_000, 60_000].map((octets) =>
      session.write(Buffer.alloc(octets), call),
    )
    expect(await lease.release('broken')).toMatchObject({ code: 'none' })
    const ends = await Promise.all(writes)
    expect(ends[1]?.code).not.toBe('none')
    expect(ends[2]).toMatchObject({ code: 'refused', written: 0 })
    const next = await session.lease()
    expect(next).toMatchObject({ code: 'none' })
    const whole = Buffer.alloc(200_000, 'whole')
    expect(await session.write(whole, { lease: next.id })).toMatchObject({ code: 'none' })
    expect(await next.release()).toMatchObject({ code: 'none' })
  })

  test('a lease given back just before its wrapper closes is given back: the next tenant’s RSET', async () => {
    const daemon = await scene.daemon()
    const peer = await scene.peer('silent')
    const options = scene.optionsOf(peer.port, 'smtp', { conversation: 'smtp' })
    const leaving = scene.wrapper(daemon.socket)
    const session = await leaving.new(options)
    const connected = session.connect()
    const heard = await smtpOn(await peer.connection(0))
    expect(await connected).toMatchObject({ code: 'none' })
    const lease = await session.lease({ eager: true })
    const answer = await session.exchange('NOOP\r\n', 100, { lease: lease.id })
    expect(Buffer.from(answer.data).toString()).toBe('250 mailhost\r\n')
    await lease.release()
    await leaving.close()
    const heir = await scene.wrapper(daemon.socket).new(options)
    expect(await heir.lease()).toMatchObject({ code: 'none' })
    expect(heard).toEqual([expect.stringMatching(/^EHLO /), 'NOOP', 'RSET'])
    expect(peer.handshakes()).toBe(1)
  })
})

/** Speaks SMTP on a connection; fills what it returns with the commands that it hears. */
async function smtpOn(socket: TLSSocket): Promise<readonly string[]> {
  const heard: string[] = []
  socket.on('data', (chunk: Buffer) => {
    heard.push(chunk.toString('latin1').trim())
    socket.write('250 mailhost\r\n')
  })
  socket.write('220 mailhost ESMTP\r\n')
  return heard
}
