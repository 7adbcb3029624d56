/**
 * STARTTLS in a probe: taken where it is offered, whoever's certificate it is; given up where it
 * breaks.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Caller } from '../../src/probes/caller.ts'
import { converse } from '../../src/probes/converse.ts'
import { ProbeSwitch } from '../../src/probes/probe-switch.ts'
import type { ProbePlan } from '../../src/probes/smtp-probe.ts'
import { testProbeSettings } from '../support/broker.ts'
import { type Authority, makeAuthority } from '../tls/support/certificates.ts'

const plan: ProbePlan = {
  helo: 'probe.example',
  questions: [{ name: 'sender', sender: '', recipient: 'anna@a.example' }],
  depth: 'rcpt',
  isTlsTried: true,
  goesOn: () => false,
}

function answer(socket: Socket, onStartTls: () => void): void {
  socket.on('error', () => socket.destroy())
  socket.on('data', (octets) => {
    const verb = octets.toString('latin1').slice(0, 4)
    if (verb === 'EHLO') socket.write('250-mail.a.example\r\n250 STARTTLS\r\n')
    else if (verb === 'STAR') onStartTls()
    else socket.write('250 2.0.0 ok\r\n')
  })
}

/** What is said to a server on this port; the conversation ends in order. */
async function askAt(port: number): Promise<readonly string[]> {
  const settings = { ...testProbeSettings, port, connectWaitMs: 10_000, replyWaitMs: 10_000 }
  const caller = new Caller(settings, converse, new ProbeSwitch(), Date.now)
  const attempt = await caller.attempt('127.0.0.9', 'mail.a.example', plan, 'a.example')
  expect(attempt).toMatchObject({ kind: 'made', report: { end: 'finished' } })
  return attempt.kind === 'made' ? attempt.report.dialogue : []
}

describe('STARTTLS in probes', () => {
  let authority: Authority
  const servers: Server[] = []
  beforeAll(() => {
    authority = makeAuthority()
  })
  afterAll(() => {
    for (const server of servers) server.close()
    authority.remove()
  })

  function listen(onStartTls: (socket: Socket) => void): Promise<number> {
    const server = createServer((socket) => {
      socket.write('220 mail.a.example\r\n')
      answer(socket, () => onStartTls(socket))
    })
    servers.push(server)
    return new Promise((resolve) => {
      server.listen(0, '127.0.0.9', () => {
        const bound = server.address()
        resolve(typeof bound === 'object' && bound !== null ? bound.port : 0)
      })
    })
  }

  describe('a server that offers it', () => {
    test('the question goes over TLS, with any certificate', async () => {
      const { certificate: cert, key } = authority.selfSigned('other.example')
      const port = await listen((socket) => {
        socket.removeAllListeners('data')
        socket.write('220 go\r\n', () => {
          const secured = new TLSSocket(socket, { isServer: true, cert, key })
          answer(secured, () => secured.write('503 once is enough\r\n'))
        })
      })
      const dialogue = await askAt(port)
      expect(dialogue).toContain('-: TLS')
      expect(dialogue.indexOf('-: TLS')).toBeLessThan(
        dialogue.indexOf('C: RCPT TO:<anna@a.example>'),
      )
    })

    test('a handshake that breaks: asked once more, without TLS', async () => {
      const port = await listen((socket) => socket.write('220 go\r\n', () => socket.destroy()))
      const dialogue = await askAt(port)
      expect(dialogue).toContain('C: RCPT TO:<anna@a.example>')
      expect(dialogue).not.toContain('C: STARTTLS')
    })
  })
})
