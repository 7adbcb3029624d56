/**
 * The contract of the socket engine: the twin over net.Socket and the native one both pass it.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { backlogHighOctets } from '../../src/base/limits.ts'
import type { Engine, EngineHandler, EngineOptions } from '../../src/io/engine.ts'
import type { Gate } from '../../src/io/gate.ts'
import { openPolicy } from './policy.ts'
import { connectClient, type RawClient } from './raw-client.ts'
import { Recorder } from './recorder.ts'

/** What a suite runs the contract on. */
export interface EngineUnderTest {
  readonly newEngine: (handler: EngineHandler, options: EngineOptions) => Engine
  readonly newGate: () => Gate
}

const greeting = '220 mx.example.test ESMTP\r\n'
const megabyte = 1_048_576

/** Runs the contract. */
export function runEngineContract({ newEngine, newGate }: EngineUnderTest): void {
  let recorder: Recorder
  let engine: Engine
  let gate: Gate
  let port: number
  const clients: RawClient[] = []
  const servers: Server[] = []

  beforeEach(async () => {
    recorder = new Recorder()
    engine = newEngine(recorder, { clientDeadlineMs: 0 })
    gate = newGate()
    gate.configure(openPolicy({ greeting }))
    const [address = ''] = await gate.listen(['127.0.0.1:0'])
    port = Number(address.split(':')[1])
    gate.addWorker(engine.token)
  })

  afterEach(async () => {
    for (const client of clients.splice(0)) client.socket.destroy()
    for (const server of servers.splice(0)) server.close()
    recorder.reactions = {
      onOpen: (id) => engine.close(id),
      onDeadline: (id) => engine.close(id),
    }
    for (const one of recorder.told) engine.reset(one.id)
    await engine.stop()
    await gate.close()
  })

  async function greeted(): Promise<RawClient> {
    const client = await connectClient(port)
    clients.push(client)
    await client.sees(greeting)
    return client
  }

  /** A client that has spoken, and its id. */
  async function opened(text = 'EHLO x\r\n'): Promise<{ client: RawClient; id: number }> {
    const known = recorder.told.filter((one) => one.kind === 'open').length
    const client = await greeted()
    client.send(text)
    await recorder.until(() => recorder.told.filter((one) => one.kind === 'open').length > known)
    const id = recorder.told.filter((one) => one.kind === 'open').at(-1)?.id ?? -1
    await recorder.until(() => recorder.dataOf(id).length >= text.length)
    return { client, id }
  }

  /** A server of the test's own and the sockets that it accepted. */
  async function server(onSocket: (socket: Socket) => void): Promise<number> {
    const made = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => socket.destroy())
      onSocket(socket)
    })
    servers.push(made)
    await new Promise<void>((resolve) => made.listen(0, '127.0.0.1', resolve))
    const address = made.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }

  describe('clients', () => {
    test('a greeted client is told of at its first octets, with its peer', async () => {
      const client = await greeted()
      expect(recorder.told).toEqual([])
      expect(engine.connections).toBe(1)
      client.send('EHLO x\r\n')
      const { peer } = await recorder.first('open')
      expect(peer).toMatchObject({
        address: '127.0.0.1',
        port: client.socket.localPort,
        localAddress: '127.0.0.1',
        localPort: port,
        isTrusted: false,
        verdictClass: 0,
        isEarlyTalker: false,
      })
      expect(Math.abs(Date.now() - peer.acceptedAtMs)).toBeLessThan(600_000)
    })

    test('octets split anywhere arrive in order and whole', async () => {
      const { client, id } = await opened('M')
      for (const octet of 'AIL FROM:<a@b>\r\n') client.send(octet)
      await recorder.until(() => recorder.dataOf(id).endsWith('\n'))
      expect(recorder.dataOf(id)).toBe('MAIL FROM:<a@b>\r\n')
    })

    test('every octet value passes both ways', async () => {
      const all = Buffer.from(Array.from({ length: 256 }, (_, octet) => octet))
      const { client, id } = await opened(all.toString('latin1'))
      expect(recorder.dataOf(id)).toBe(all.toString('latin1'))
      engine.sendText(id, all.toString('latin1'))
      engine.send(id, all)
      await client.holds(greeting.length + 512)
      expect(client.received.subarray(greeting.length)).toEqual(Buffer.concat([all, all]))
    })

    test('texts and octets are sent in the order of the calls, also from outside an event', async () => {
      const { client, id } = await opened()
      engine.sendText(id, '250-a\r\n')
      engine.send(id, Buffer.from('250-b\r\n'))
      engine.sendText(id, '250 c\r\n')
      expect(await client.sees('250 c\r\n')).toBe(`${greeting}250-a\r\n250-b\r\n250 c\r\n`)
    })

    test('the octets given to send may be changed after the call', async () => {
      const { client, id } = await opened()
      const octets = Buffer.from('before')
      engine.send(id, octets)
      octets.write('AFTER!')
      await client.sees('before')
    })

    test('an empty send sends nothing and is no fault', async () => {
      const { client, id } = await opened()
      expect(engine.sendText(id, '')).toBe(true)
      expect(engine.send(id, new Uint8Array())).toBe(true)
      engine.sendText(id, '250 ok\r\n')
      await client.sees('250 ok\r\n')
    })

    test('forward inside onData echoes a range of the chunk', async () => {
      recorder.reactions = {
        onData: (id, _chunk, start, end) => {
          engine.sendText(id, '<')
          engine.forward(id, start + 1, end - 1)
          engine.sendText(id, '>')
        },
      }
      const { client } = await opened('[abc]')
      await client.sees('<abc>')
    })

    test('forward outside onData does nothing', async () => {
      const { client, id } = await opened()
      engine.forward(id, 0, 5)
      engine.sendText(id, '250 ok\r\n')
      expect(await client.sees('250 ok')).toBe(`${greeting}250 ok\r\n`)
    })

    test('a client that shows no sign of life gets its deadline', async () => {
      await greeted()
      engine.clientDeadline(1)
      const { id } = await recorder.first('deadline')
      expect(recorder.kindsOf(id)).toEqual(['open', 'deadline'])
    })

    test('a client that resets before any sign of life is never told of', async () => {
      const client = await greeted()
      client.socket.resetAndDestroy()
      await opened()
      await untilConnections(engine, 1)
      expect(recorder.told.filter((one) => one.kind === 'open')).toHaveLength(1)
      expect(recorder.told.filter((one) => one.kind === 'close')).toHaveLength(0)
    })

    test('a hundred clients at once are told apart', async () => {
      recorder.reactions = {
        onData: (id, _chunk, start, end) => {
          engine.forward(id, start, end)
        },
      }
      const all = await Promise.all(Array.from({ length: 100 }, () => greeted()))
      for (const [at, client] of all.entries()) client.send(`client ${at}.`)
      await Promise.all(all.map((client, at) => client.sees(`client ${at}.`)))
      expect(engine.connections).toBe(100)
    })
  })

  describe('ends', () => {
    test('half-close: onEnd, and what is sent then still arrives', async () => {
      const { client, id } = await opened()
      client.socket.end()
      await recorder.first('end')
      engine.sendText(id, '221 bye\r\n')
      engine.close(id)
      await client.sees('221 bye\r\n')
      expect((await recorder.first('close')).reason).toBe('ended')
      expect(recorder.kindsOf(id)).toEqual(['open', 'data', 'end', 'close'])
    })

    test('close sends what is queued, then ends; the client may go on sending', async () => {
      const { client, id } = await opened()
      engine.sendText(id, '221 bye\r\n')
      engine.close(id)
      expect(await client.ends()).toBe('ended')
      expect(client.text).toBe(`${greeting}221 bye\r\n`)
      client.send('more that nobody reads\r\n')
      client.socket.end()
      expect((await recorder.first('close')).reason).toBe('closed')
      expect(recorder.kindsOf(id)).toEqual(['open', 'data', 'close'])
    })

    test('close of a client that is done sends what is queued, whatever lies unread', async () => {
      const { client, id } = await opened()
      engine.pause(id)
      await new Promise((resolve) => client.socket.write('NOOP\r\n', resolve))
      engine.sendText(id, '221 bye\r\n')
      engine.close(id, true)
      expect(await client.ends()).toBe('ended')
      expect(client.text).toBe(`${greeting}221 bye\r\n`)
      client.socket.end()
      await recorder.first('close', id)
    })

    test('a client that never closes is gone after the lingering time', async () => {
      const { client, id } = await opened()
      engine.close(id)
      await client.ends()
      await recorder.first('close', id)
      expect(engine.connections).toBe(0)
    })

    test("the peer's reset is one onClose with the reason", async () => {
      const { client, id } = await opened()
      client.socket.resetAndDestroy()
      expect((await recorder.first('close', id)).reason).toBe('reset')
      expect(recorder.kindsOf(id)).toEqual(['open', 'data', 'close'])
    })

    test('reset reaches the client as a reset', async () => {
      const { client, id } = await opened()
      engine.reset(id)
      expect(await client.ends()).toBe('reset')
      expect((await recorder.first('close', id)).reason).toBe('closed')
    })

    test('methods on a dead id do nothing and never throw', async () => {
      const { client, id } = await opened()
      client.socket.resetAndDestroy()
      await recorder.first('close', id)
      const other = await opened()
      expect(engine.sendText(id, 'ghost')).toBe(true)
      expect(engine.send(id, Buffer.from('ghost'))).toBe(true)
      for (const act of ['pause', 'resume', 'close', 'reset'] as const) engine[act](id)
      engine.deadline(id, 1)
      expect(engine.detach(id)).toBeUndefined()
      expect(engine.detach(987_654_321)).toBeUndefined()
      engine.sendText(other.id, 'alive')
      expect(await other.client.sees('alive')).toBe(`${greeting}alive`)
    })

    test('an id is never given twice', async () => {
      const ids = new Set<number>()
      for (let round = 0; round < 20; round += 1) {
        const { client, id } = await opened()
        ids.add(id)
        client.socket.resetAndDestroy()
        await recorder.first('close', id)
      }
      expect(ids.size).toBe(20)
    })

    test('stop gives silent clients their deadline and resolves with the last connection', async () => {
      const client = await greeted()
      recorder.reactions = {
        onDeadline: (id) => {
          engine.sendText(id, '421 4.3.2 closing\r\n')
          engine.close(id)
        },
      }
      const stopped = engine.stop()
      await client.sees('421 4.3.2')
      client.socket.end()
      await stopped
      expect(engine.connections).toBe(0)
    })
  })

  describe('deadlines', () => {
    test('a deadline comes once, and the connection stays open', async () => {
      const { client, id } = await opened()
      engine.deadline(id, 20)
      await recorder.first('deadline', id)
      engine.sendText(id, 'still here')
      await client.sees('still here')
      expect(recorder.kindsOf(id)).toEqual(['open', 'data', 'deadline'])
    })

    test('a new deadline replaces the old one, 0 removes it', async () => {
      const first = await opened()
      const second = await opened()
      const third = await opened()
      engine.deadline(first.id, 20)
      engine.deadline(first.id, 600_000)
      engine.deadline(second.id, 20)
      engine.deadline(second.id, 0)
      engine.deadline(third.id, 50)
      await recorder.first('deadline', third.id)
      const late = recorder.told.filter((one) => one.kind === 'deadline')
      expect(late.map((one) => one.id)).toEqual([third.id])
    })
  })

  describe('backpressure', () => {
    test('send answers false above the high mark, and onDrain comes when the peer reads', async () => {
      const { client, id } = await opened()
      client.socket.pause()
      const block = Buffer.alloc(65_536, 'x')
      let sent = 0
      while (engine.send(id, block)) {
        sent += 1
        await new Promise(setImmediate)
      }
      expect(recorder.told.filter((one) => one.kind === 'drain')).toHaveLength(0)
      client.socket.resume()
      await recorder.first('drain', id)
      await client.holds(greeting.length + (sent + 1) * block.length)
    })

    test('a paused connection delivers nothing until resumed', async () => {
      const { client, id } = await opened('one')
      engine.pause(id)
      client.send('two')
      const other = await opened('three')
      other.client.send('four')
      await recorder.until(() => recorder.dataOf(other.id).includes('four'))
      expect(recorder.dataOf(id)).toBe('one')
      engine.resume(id)
      await recorder.until(() => recorder.dataOf(id) === 'onetwo')
    })

    test('50 MB pass from one connection to another through a slow reader in bounded memory', async () => {
      const total = 50 * megabyte
      let slow: Socket | undefined
      let arrived = 0
      const far = await server((socket) => {
        slow = socket
        socket.on('data', (chunk) => {
          arrived += chunk.length
          socket.pause()
          setImmediate(() => socket.resume())
        })
      })
      const link = engine.connect('127.0.0.1', far, 5000)
      await recorder.first('connected', link)
      recorder.isKeepingData = false
      let source = -1
      let inFlightMax = 0
      let forwarded = 0
      recorder.reactions = {
        onData: (id, _chunk, start, end) => {
          source = id
          forwarded += end - start
          inFlightMax = Math.max(inFlightMax, forwarded - arrived)
          if (!engine.forward(link, start, end)) engine.pause(id)
        },
        onDrain: () => engine.resume(source),
      }
      const client = await greeted()
      const block = Buffer.alloc(megabyte, 'abcdefg\r\n')
      for (let at = 0; at < total; at += block.length) {
        if (!client.socket.write(block)) {
          await new Promise((resolve) => client.socket.once('drain', resolve))
        }
      }
      await recorder.until(() => forwarded === total)
      while (arrived < total) await new Promise(setImmediate)
      expect(slow).toBeDefined()
      // Ours, and what the kernel holds for both ends of a loopback connection.
      expect(inFlightMax).toBeLessThan(4 * backlogHighOctets + 20 * megabyte)
    })
  })

  describe('links', () => {
    test('connect tells of success; both directions work; the end of the other side is told', async () => {
      const far = await server((socket) => {
        socket.write('220 mailhost\r\n')
        socket.on('data', (chunk) => socket.end(`echo ${chunk}`))
      })
      const link = engine.connect('127.0.0.1', far, 5000)
      await recorder.first('connected', link)
      engine.sendText(link, 'QUIT\r\n')
      await recorder.first('end', link)
      expect(recorder.dataOf(link)).toBe('220 mailhost\r\necho QUIT\r\n')
      engine.close(link)
      expect((await recorder.first('close', link)).reason).toBe('ended')
      expect(recorder.kindsOf(link)).toEqual(['connected', 'data', 'end', 'close'])
    })

    test('what is sent before the connection stands arrives after it', async () => {
      let heard = ''
      const far = await server((socket) => {
        socket.on('data', (chunk) => {
          heard += chunk
          socket.write('heard')
        })
      })
      const link = engine.connect('127.0.0.1', far, 5000)
      engine.sendText(link, 'EHLO early\r\n')
      await recorder.until(() => recorder.dataOf(link) === 'heard')
      expect(heard).toBe('EHLO early\r\n')
    })

    test('nobody listens: refused', async () => {
      const free = await server(() => {})
      const [closed] = servers.splice(-1)
      await new Promise((resolve) => closed?.close(resolve))
      const link = engine.connect('127.0.0.1', free, 5000)
      expect((await recorder.first('close', link)).reason).toBe('refused')
      expect(recorder.kindsOf(link)).toEqual(['close'])
    })

    test('an address that cannot be reached: unreachable, never from inside connect', async () => {
      const link = engine.connect('255.255.255.255', 25, 5000)
      expect(recorder.told).toEqual([])
      expect((await recorder.first('close', link)).reason).toBe('unreachable')
    })

    test('nothing that comes meanwhile is lost while link after link fails', async () => {
      const { client, id } = await opened('-')
      let left = 60
      const failAnother = () => {
        if (left-- === 0) return
        client.send('+')
        engine.connect('255.255.255.255', 25, 5000)
      }
      recorder.reactions = { onClose: failAnother }
      failAnother()
      await recorder.until(() => left < 0)
      client.send('.')
      await recorder.until(() => recorder.dataOf(id).endsWith('.'))
      expect(recorder.dataOf(id)).toBe(`-${'+'.repeat(60)}.`)
    })

    test('a link over IPv6', async () => {
      const made = createServer((socket) => {
        socket.on('error', () => socket.destroy())
        socket.end('six')
      })
      servers.push(made)
      await new Promise<void>((resolve) => made.listen(0, '::1', resolve))
      const address = made.address()
      const far = typeof address === 'object' && address !== null ? address.port : 0
      const link = engine.connect('::1', far, 5000)
      await recorder.first('end', link)
      expect(recorder.dataOf(link)).toBe('six')
    })

    test('closing a link that does not stand yet is one onClose', async () => {
      const far = await server((socket) => socket.resume().on('end', () => socket.end()))
      const link = engine.connect('127.0.0.1', far, 5000)
      engine.close(link)
      expect((await recorder.first('close', link)).reason).toBe('closed')
    })
  })

  describe('detach', () => {
    test('the socket goes on where the engine stopped, after what was queued', async () => {
      const { client, id } = await opened('STARTTLS\r\n')
      engine.sendText(id, '220 go\r\n')
      const socket = engine.detach(id)
      expect(engine.connections).toBe(0)
      socket?.on('error', () => {})
      await client.sees('220 go\r\n')
      socket?.on('data', (chunk: Buffer) => socket.end(`got ${chunk}`))
      socket?.resume()
      client.send('hello')
      await client.sees('got hello')
      expect(await client.ends()).toBe('ended')
      expect(recorder.kindsOf(id)).toEqual(['open', 'data'])
    })

    test('the place at the gate is given back when the detached socket closes', async () => {
      const { client, id } = await opened()
      const socket = engine.detach(id)
      expect(gate.counters().connections).toBe(1)
      socket?.on('error', () => {})
      socket?.destroy()
      await client.ends()
      while (gate.counters().connections > 0) await new Promise(setImmediate)
    })
  })
}

/** Polls by turns of the event loop: no event tells of a silent client's end. */
async function untilConnections(engine: Engine, count: number): Promise<void> {
  while (engine.connections !== count) await new Promise(setImmediate)
}
