/**
 * The contract of the socket engine: the twin over net.Socket and the native one both pass it.
 */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Engine } from '../../src/io/engine.ts'
import { backpressureTests, detachTests, linkTests } from './engine-links.ts'
import { passTests } from './engine-pass.ts'
import { type EngineUnderTest, EngineWorld, greeting } from './engine-world.ts'

type World = () => EngineWorld

/** Runs the contract. */
export function runEngineContract(parts: EngineUnderTest): void {
  let world: EngineWorld
  const here = () => world

  beforeEach(async () => {
    world = new EngineWorld(parts)
    await world.open()
  })

  afterEach(() => world.close())

  describe('clients', () => clientTests(here))
  describe('ends', () => endTests(here))
  describe('deadlines', () => deadlineTests(here))
  describe('backpressure', () => backpressureTests(here))
  describe('pass', () => passTests(here))
  describe('links', () => linkTests(here))
  describe('detach', () => detachTests(here))
}

/** Octets of clients, both ways. */
function clientTests(world: World): void {
  test('a greeted client is told of at its first octets, with its peer', async () => {
    const { engine, greeted, port, recorder } = world()
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
    expect(Math.abs(performance.now() - peer.acceptedAtMs)).toBeLessThan(600_000)
  })

  test('octets split anywhere arrive in order and whole', async () => {
    const { opened, recorder } = world()
    const { client, id } = await opened('M')
    for (const octet of 'AIL FROM:<a@b>\r\n') client.send(octet)
    await recorder.until(() => recorder.dataOf(id).endsWith('\n'))
    expect(recorder.dataOf(id)).toBe('MAIL FROM:<a@b>\r\n')
  })

  test('every octet value passes both ways', async () => {
    const { engine, opened, recorder } = world()
    const all = Buffer.from(Array.from({ length: 256 }, (_, octet) => octet))
    const { client, id } = await opened(all.toString('latin1'))
    expect(recorder.dataOf(id)).toBe(all.toString('latin1'))
    engine.sendText(id, all.toString('latin1'))
    engine.send(id, all)
    await client.holds(greeting.length + 512)
    expect(client.received.subarray(greeting.length)).toEqual(Buffer.concat([all, all]))
  })

  test('texts and octets are sent in the order of the calls, also from outside an event', async () => {
    const { engine, opened } = world()
    const { client, id } = await opened()
    engine.sendText(id, '250-a\r\n')
    engine.send(id, Buffer.from('250-b\r\n'))
    engine.sendText(id, '250 c\r\n')
    expect(await client.sees('250 c\r\n')).toBe(`${greeting}250-a\r\n250-b\r\n250 c\r\n`)
  })

  test('short sends, long ones and forwarded octets keep the order of the calls', async () => {
    const { engine, opened, recorder } = world()
    const long = 'l'.repeat(20_000)
    const sendAll = (id: number): void => {
      engine.sendText(id, '<')
      engine.send(id, Buffer.from(long))
      engine.sendText(id, long)
      engine.sendText(id, '>')
    }
    recorder.reactions = {
      onData: (id, _chunk, start, end) => {
        engine.forward(id, start, end)
        sendAll(id)
      },
    }
    const { client, id } = await opened('x')
    const all = `<${long}${long}>`
    await client.sees(all)
    sendAll(id)
    expect(await client.sees(all + all)).toBe(`${greeting}x${all}${all}`)
  })

  test('the octets given to send may be changed after the call', async () => {
    const { engine, opened } = world()
    const { client, id } = await opened()
    const octets = Buffer.from('before')
    engine.send(id, octets)
    octets.write('AFTER!')
    await client.sees('before')
  })

  test('an empty send sends nothing and is no fault', async () => {
    const { engine, opened } = world()
    const { client, id } = await opened()
    expect(engine.sendText(id, '')).toBe(true)
    expect(engine.send(id, new Uint8Array())).toBe(true)
    engine.sendText(id, '250 ok\r\n')
    await client.sees('250 ok\r\n')
  })

  test('forward inside onData echoes a range of the chunk', async () => {
    const { engine, opened, recorder } = world()
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
    const { engine, opened } = world()
    const { client, id } = await opened()
    engine.forward(id, 0, 5)
    engine.sendText(id, '250 ok\r\n')
    expect(await client.sees('250 ok')).toBe(`${greeting}250 ok\r\n`)
  })

  test('a client that shows no sign of life gets its deadline', async () => {
    const { engine, greeted, recorder } = world()
    await greeted()
    engine.clientDeadline(1)
    const { id } = await recorder.first('deadline')
    expect(recorder.kindsOf(id)).toEqual(['open', 'deadline'])
  })

  test('its silence counts from accept, to whatever the wall clock is set meanwhile', async () => {
    const { engine, greeted, recorder } = world()
    await greeted()
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - 86_400_000 })
    engine.clientDeadline(1_000)
    vi.useRealTimers()
    await recorder.first('deadline')
  })

  test('a client that resets before any sign of life is never told of', async () => {
    const { engine, greeted, opened, recorder } = world()
    const client = await greeted()
    client.socket.resetAndDestroy()
    await opened()
    await untilConnections(engine, 1)
    expect(recorder.told.filter((one) => one.kind === 'open')).toHaveLength(1)
    expect(recorder.told.filter((one) => one.kind === 'close')).toHaveLength(0)
  })

  test('a hundred clients at once are told apart', async () => {
    const { engine, greeted, recorder } = world()
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
}

/** Ends of connections, from either side. */
function endTests(world: World): void {
  test('half-close: onEnd, and what is sent then still arrives', async () => {
    const { engine, opened, recorder } = world()
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
    const { engine, opened, recorder } = world()
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
    const { engine, opened, recorder } = world()
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
    const { engine, opened, recorder } = world()
    const { client, id } = await opened()
    engine.close(id)
    await client.ends()
    await recorder.first('close', id)
    expect(engine.connections).toBe(0)
  })

  test("the peer's reset is one onClose with the reason", async () => {
    const { opened, recorder } = world()
    const { client, id } = await opened()
    client.socket.resetAndDestroy()
    expect((await recorder.first('close', id)).reason).toBe('reset')
    expect(recorder.kindsOf(id)).toEqual(['open', 'data', 'close'])
  })

  test('reset reaches the client as a reset', async () => {
    const { engine, opened, recorder } = world()
    const { client, id } = await opened()
    engine.reset(id)
    expect(await client.ends()).toBe('reset')
    expect((await recorder.first('close', id)).reason).toBe('closed')
  })

  test('methods on a dead id do nothing and never throw', async () => {
    const { engine, opened, recorder } = world()
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
    const { opened, recorder } = world()
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
    const { engine, greeted, recorder } = world()
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
}

/** Deadlines of connections. */
function deadlineTests(world: World): void {
  test('a deadline comes once, and the connection stays open', async () => {
    const { engine, opened, recorder } = world()
    const { client, id } = await opened()
    engine.deadline(id, 20)
    await recorder.first('deadline', id)
    engine.sendText(id, 'still here')
    await client.sees('still here')
    expect(recorder.kindsOf(id)).toEqual(['open', 'data', 'deadline'])
  })

  test('a new deadline replaces the old one, 0 removes it', async () => {
    const { engine, opened, recorder } = world()
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
}

/** Polls by turns of the event loop: no event tells of a silent client's end. */
async function untilConnections(engine: Engine, count: number): Promise<void> {
  while (engine.connections !== count) await new Promise(setImmediate)
}
