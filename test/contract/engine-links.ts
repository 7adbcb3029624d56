/** The engine's contract between connections: backpressure, links it opens, sockets it gives. */
import type { Socket } from 'node:net'
import { expect, test } from 'vitest'
import { backlogHighOctets } from '../../src/base/limits.ts'
import { type EngineWorld, greeting } from './engine-world.ts'

type World = () => EngineWorld

const megabyte = 1_048_576

/** Both ways with bounded backlogs. */
export function backpressureTests(world: World): void {
  test('send answers false above the high mark, and onDrain comes when the peer reads', async () => {
    const { engine, opened, recorder } = world()
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

  test('what the peer has not taken falls while it reads, and is nothing for a dead id', async () => {
    const { engine, opened, recorder } = world()
    const { client, id } = await opened()
    client.socket.pause()
    const block = Buffer.alloc(65_536, 'x')
    let sent = 0
    for (; engine.send(id, block); sent += 1) await new Promise(setImmediate)
    const standing = engine.untaken(id)
    expect(standing).toBeGreaterThan(backlogHighOctets)
    client.socket.resume()
    await client.holds(greeting.length + (sent + 1) * block.length)
    await expect.poll(() => engine.untaken(id), { timeout: 20_000 }).toBe(0)
    engine.reset(id)
    await recorder.first('close', id)
    expect(engine.untaken(id)).toBe(0)
  })

  test('a paused connection delivers nothing until resumed', async () => {
    const { engine, opened, recorder } = world()
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
    const { engine, greeted, recorder, server } = world()
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
}

/** Connections that the engine opens. */
export function linkTests(world: World): void {
  test('connect tells of success; both directions work; the end of the other side is told', async () => {
    const { engine, recorder, server } = world()
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
    const { engine, recorder, server } = world()
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

  test('what the other side says before it resets is heard, though octets wait for it', async () => {
    const { engine, recorder, server } = world()
    let far: Socket | undefined
    const port = await server((socket) => {
      far = socket
    })
    const link = engine.connect('127.0.0.1', port, 5000)
    await recorder.first('connected', link)
    const block = Buffer.alloc(65_536, 'x')
    while (engine.send(link, block)) await new Promise(setImmediate)
    far?.write('552 too big\r\n')
    // Octets lie unread there: a reset.
    far?.destroy()
    expect((await recorder.first('close', link)).reason).toBe('reset')
    expect(recorder.dataOf(link)).toBe('552 too big\r\n')
  })

  test('nobody listens: refused', async () => {
    const { closeServers, engine, recorder, server } = world()
    const free = await server(() => {})
    await closeServers()
    const link = engine.connect('127.0.0.1', free, 5000)
    expect((await recorder.first('close', link)).reason).toBe('refused')
    expect(recorder.kindsOf(link)).toEqual(['close'])
  })

  test('an address that cannot be reached: unreachable, never from inside connect', async () => {
    const { engine, recorder } = world()
    const link = engine.connect('255.255.255.255', 25, 5000)
    expect(recorder.told).toEqual([])
    expect((await recorder.first('close', link)).reason).toBe('unreachable')
  })

  test('nothing that comes meanwhile is lost while link after link fails', async () => {
    const { engine, opened, recorder } = world()
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
    const { engine, recorder, server } = world()
    const far = await server((socket) => socket.end('six'), '::1')
    const link = engine.connect('::1', far, 5000)
    await recorder.first('end', link)
    expect(recorder.dataOf(link)).toBe('six')
  })

  test('closing a link that does not stand yet is one onClose', async () => {
    const { engine, recorder, server } = world()
    const far = await server((socket) => socket.resume().on('end', () => socket.end()))
    const link = engine.connect('127.0.0.1', far, 5000)
    engine.close(link)
    expect((await recorder.first('close', link)).reason).toBe('closed')
  })
}

/** A socket given out, as for TLS. */
export function detachTests(world: World): void {
  test('the socket goes on where the engine stopped, after what was queued', async () => {
    const { engine, opened, recorder } = world()
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

  test('stop waits for a socket that was given out', async () => {
    const { engine, opened } = world()
    const { id } = await opened()
    const socket = engine.detach(id)
    socket?.on('error', () => {})
    let hasStopped = false
    const stopped = engine.stop().then(() => {
      hasStopped = true
    })
    for (let turn = 0; turn < 10; turn += 1) await new Promise(setImmediate)
    expect(hasStopped).toBe(false)
    socket?.destroy()
    await stopped
  })

  test('the place at the gate is given back when the detached socket closes', async () => {
    const { engine, gate, opened } = world()
    const { client, id } = await opened()
    const socket = engine.detach(id)
    expect(gate.counters().connections).toBe(1)
    socket?.on('error', () => {})
    socket?.destroy()
    await client.ends()
    while (gate.counters().connections > 0) await new Promise(setImmediate)
  })
}
