/**
 * `tls wrap --listen` with a shared name: what its clients leave on the session for the next.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import net from 'node:net'
import { describe, expect, test } from 'vitest'
import { RelayWrap } from '../../src/tls/wrap-relay.ts'
import { startRecordingMailhost } from '../support/recording-mailhost.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { sessionScene } from './support/session-scene.ts'

const scene = sessionScene()

describe('the clients of a relay', () => {
  test.each([
    { command: 'NOOP', connections: 1 },
    { command: 'AUTH PLAIN AGEAYg==', connections: 2 },
    { command: 'xclient NAME=other.example', connections: 2 },
  ])('behind $command two clients have $connections sessions at the server', async (row) => {
    const mailhost = await startRecordingMailhost({
      tls: scene.identity,
      answer: (command) => (command === row.command ? '235 2.7.0 well' : undefined),
    })
    scene.atEnd(() => mailhost.stop())
    const daemon = await scene.daemon()
    const session = scene.optionsOf(mailhost.port, 'relayed', { starttls: 'smtp' })
    const listen = { host: '127.0.0.1', port: 0 }
    const relay = await RelayWrap.start(scene.wrapper(daemon.socket), { listen, session })
    scene.atEnd(() => relay.stop())
    for (const command of [row.command, 'NOOP']) {
      const client = await SmtpClient.open(relay.port)
      expect(await client.says(command)).toMatch(/^2/)
      expect(await client.says('QUIT')).toMatch(/^221/)
    }
    // Each has one session before STARTTLS and one behind it.
    expect(mailhost.sessions.length).toBe(2 * row.connections)
  })
})

test('a conversation that its client takes slowly leaves no listeners behind', async () => {
  const peer = await scene.peer('silent')
  const session = scene.optionsOf(peer.port, 'unused', { shared: false })
  const listen = { host: '127.0.0.1', port: 0 }
  const relay = await RelayWrap.start(scene.wrapper('/nowhere'), { listen, session })
  scene.atEnd(() => relay.stop())
  const sockets: net.Socket[] = []
  const onSocket = (message: unknown): void =>
    void sockets.push((message as { socket: net.Socket }).socket)
  subscribe('net.server.socket', onSocket)
  scene.atEnd(() => unsubscribe('net.server.socket', onSocket))
  const client = net.connect({ port: relay.port, host: '127.0.0.1' })
  scene.atEnd(() => void client.destroy())
  const socket = await peer.connection(0)
  const speak = (): void => {
    while (socket.write(Buffer.alloc(256 * 1024)));
  }
  socket.on('drain', speak)
  speak()
  const ofRelay = sockets.find(({ localPort }) => localPort === relay.port)
  for (let round = 0; round < 12; round++) {
    client.pause()
    await expect.poll(() => ofRelay?.writableNeedDrain, { timeout: 60_000, interval: 1 }).toBe(true)
    client.resume()
    await once(ofRelay as net.Socket, 'drain')
  }
  expect(ofRelay?.listenerCount('close')).toBeLessThan(10)
})
