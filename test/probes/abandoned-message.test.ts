/**
 * Behind DATA a probe leaves by a reset, seen from the server: never by an end of data, and never
 * in an order that a server might take for one.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { converse } from '../../src/probes/converse.ts'
import type { Depth } from '../../src/probes/settings.ts'
import type { ProbePlan } from '../../src/probes/smtp-probe.ts'
import { type Authority, makeAuthority } from '../tls/support/certificates.ts'

function planOf(depth: Depth, isTlsTried: boolean): ProbePlan {
  const questions = [{ name: 'sender', sender: '', recipient: 'anna@a.example' }]
  return { helo: 'probe.example', questions, depth, isTlsTried, goesOn: () => false }
}

/** What the server saw of one connection. */
interface Seen {
  /** Octets behind DATA. */
  readonly octets: string
  /** The error's code; 'end' where the peer ended in order. */
  readonly ending: string
}

/** A server that takes everything up to the header, and refuses what comes behind it. */
class Watcher {
  readonly #server: Server
  readonly #makeSecure: (socket: Socket) => Socket
  readonly seen: Promise<Seen>
  #tell: (seen: Seen) => void = () => undefined
  #message = ''

  constructor(makeSecure: (socket: Socket) => Socket) {
    this.#makeSecure = makeSecure
    this.seen = new Promise((resolve) => {
      this.#tell = resolve
    })
    this.#server = createServer((socket) => {
      this.#serve(socket)
      socket.write('220 mail.a.example\r\n')
    })
  }

  listen(): Promise<number> {
    return new Promise((resolve) => {
      this.#server.listen(0, '127.0.0.9', () => {
        const bound = this.#server.address()
        resolve(typeof bound === 'object' && bound !== null ? bound.port : 0)
      })
    })
  }

  close(): void {
    this.#server.close()
  }

  #serve(socket: Socket): void {
    let isInData = false
    const over = (ending: string) => this.#tell({ octets: this.#message, ending })
    socket.on('error', (error: NodeJS.ErrnoException) => over(error.code ?? 'error'))
    socket.on('end', () => over('end'))
    socket.on('data', (octets) => {
      const text = octets.toString('latin1')
      if (isInData) {
        this.#message += text
        if (text.includes('\r\n\r\n')) socket.write('550 5.1.1 no such user\r\n')
      } else if (text.startsWith('EHLO')) {
        socket.write('250-mail.a.example\r\n250 STARTTLS\r\n')
      } else if (text.startsWith('STARTTLS')) {
        socket.removeAllListeners('data')
        socket.removeAllListeners('end')
        socket.write('220 go\r\n', () => this.#serve(this.#makeSecure(socket)))
      } else {
        isInData = text.startsWith('DATA')
        socket.write(isInData ? '354 go on\r\n' : '250 2.0.0 ok\r\n')
      }
    })
  }
}

describe('a probe at the depths behind DATA', () => {
  let authority: Authority
  beforeAll(() => {
    authority = makeAuthority()
  })
  afterAll(() => authority.remove())

  describe.each(['in the clear', 'over TLS'])('%s', (how) => {
    const depths = [
      { depth: 'data', octets: '' },
      { depth: 'message', octets: 'Subject: address verification\r\n\r\n' },
    ] as const
    test.each(depths)('depth $depth: no end of data, and a reset', async ({ depth, octets }) => {
      const { certificate: cert, key } = authority.selfSigned('mail.a.example')
      const watcher = new Watcher((socket) => new TLSSocket(socket, { isServer: true, cert, key }))
      const target = {
        address: '127.0.0.9',
        port: await watcher.listen(),
        serverName: 'mail.a.example',
        source: '',
        connectWaitMs: 10_000,
        replyWaitMs: 10_000,
        totalWaitMs: 10_000,
      }
      const conversation = await converse(target, planOf(depth, how === 'over TLS'))
      expect(conversation).toMatchObject({ kind: 'made', report: { end: 'finished' } })
      const dialogue = conversation.kind === 'made' ? conversation.report.dialogue : []
      expect(dialogue.includes('-: TLS')).toBe(how === 'over TLS')
      expect(await watcher.seen).toEqual({ octets, ending: 'ECONNRESET' })
      watcher.close()
    })
  })
})
