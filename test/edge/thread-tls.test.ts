/**
 * Which mailhost connections of a thread are to be given back: one that was kept for long, alone.
 * And clients that ask for TLS when it is gone.
 */
import { describe, expect, test } from 'vitest'
import type { ClientConnection } from '../../src/edge/client-connection.ts'
import { ThreadTls } from '../../src/edge/thread-tls.ts'
import type { ConnectionId, EngineHandler } from '../../src/io/engine.ts'
import { MemoryEngine } from '../support/memory-engine.ts'
import { startRecordingMailhost } from '../support/recording-mailhost.ts'
import { tlsScene } from '../tls/support/scene.ts'

const scene = tlsScene()

/** An engine's user that only notes which connections have ended. */
function handlerThatNotes(onClose: (id: ConnectionId) => void): EngineHandler {
  return {
    onOpen: () => {},
    onConnected: () => {},
    onData: () => {},
    onDrain: () => {},
    onEnd: () => {},
    onDeadline: () => {},
    onClose,
  }
}

describe('a direct connection in place of a shared session', () => {
  test('is overdue after its time, by itself, until it is closed', async () => {
    const mailhost = await startRecordingMailhost({ tls: scene.mailhost })
    scene.atEnd(() => mailhost.stop())
    const { ca } = scene.authority
    const thread = new ThreadTls({
      inbound: undefined,
      handshakeMs: 10_000,
      stressHandshakeMs: 10_000,
      mailhost: { ca, servername: 'mailhost.example.test', isChecked: true },
      daemonSocket: '/nonexistent/tls.sock',
      sessionsMax: 2,
      ehlo: 'mx.example.test',
    })
    scene.atEnd(() => thread.close())
    const closed: ConnectionId[] = []
    let onClosed = (): void => {}
    const handler = handlerThatNotes((id) => {
      closed.push(id)
      onClosed()
    })
    const engine = thread.around(handler, () => new MemoryEngine())
    const wanted = new Promise<void>((resolve) => {
      thread.onWanted = resolve
    })
    const kept = engine.connect('127.0.0.1', mailhost.port, 10_000)
    expect(thread.isWanted('127.0.0.1', mailhost.port, kept)).toBe(false)
    await wanted
    const fresh = engine.connect('127.0.0.1', mailhost.port, 10_000)
    expect(thread.isWanted('127.0.0.1', mailhost.port, kept)).toBe(true)
    expect(thread.isWanted('127.0.0.1', mailhost.port, fresh)).toBe(false)
    const over = new Promise<void>((resolve) => {
      onClosed = () => closed.includes(kept) && resolve()
    })
    engine.sendText(kept, 'QUIT\r\n')
    engine.close(kept)
    engine.reset(fresh)
    await over
    expect(thread.isWanted('127.0.0.1', mailhost.port, kept)).toBe(false)
  })
})

test('a client that asks for TLS behind a reload that took it away is closed, and not kept for ever', () => {
  const thread = new ThreadTls({
    inbound: undefined,
    handshakeMs: 10_000,
    stressHandshakeMs: 10_000,
    mailhost: undefined,
    daemonSocket: '',
    sessionsMax: 2,
    ehlo: 'mx.example.test',
  })
  const inner = new MemoryEngine()
  thread.around(
    handlerThatNotes(() => {}),
    () => inner,
  )
  const id = inner.connect('192.0.2.1', 25)
  thread.startTls({ id } as ClientConnection, false)
  expect(inner.of(id).state).toBe('closed')
})
