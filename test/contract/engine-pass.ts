/** The engine's contract: octets of a message that pass from client to mailhost without onData. */
import type { Socket } from 'node:net'
import { expect, test } from 'vitest'
import { backlogHighOctets } from '../../src/base/limits.ts'
import type { ConnectionId } from '../../src/io/engine.ts'
import type { EngineWorld } from './engine-world.ts'
import type { RawClient } from './raw-client.ts'

type World = () => EngineWorld

/** A client whose octets pass to a far end from its first word on. */
interface Passing {
  readonly client: RawClient
  readonly id: ConnectionId
  readonly link: ConnectionId
  readonly far: Socket
  /** What the far end has got. */
  heard(): string
  /** Octets that went by, summed over all reports; the last report's state. */
  readonly passed: { octets: number; scanState: number; count: number }
}

/** Scan state behind CRLF. */
const lineStart = 0

async function passing(world: EngineWorld, octetsMax = 1e9, scanState = lineStart) {
  const { engine, opened, recorder, server } = world
  let far: Socket | undefined
  let heard = ''
  const port = await server((socket) => {
    far = socket
    socket.setEncoding('latin1').on('data', (text) => {
      heard += text
    })
  })
  const link = engine.connect('127.0.0.1', port, 5000)
  await recorder.first('connected', link)
  const passed = { octets: 0, scanState: 0, count: 0 }
  recorder.reactions = {
    onData: (id) => engine.pass?.(id, link, scanState, octetsMax),
    onPassed: (_id, octets, state) => {
      passed.octets += octets
      passed.scanState = state
      passed.count += 1
    },
  }
  const { client, id } = await opened('DATA')
  recorder.reactions = { ...recorder.reactions, onData: () => undefined }
  while (far === undefined) await new Promise(setImmediate)
  return { client, id, link, far, heard: () => heard, passed } satisfies Passing
}

async function hears(one: Passing, text: string): Promise<void> {
  while (one.heard().length < text.length) await new Promise(setImmediate)
  expect(one.heard()).toBe(text)
}

/** Octets that pass. */
export function passTests(world: World): void {
  test('plain octets pass in order and are told of before the next event', async () => {
    const { recorder } = world()
    const one = await passing(world())
    one.client.send('first line\r\nsecond')
    await hears(one, 'first line\r\nsecond')
    one.client.send(' line\r\n')
    await hears(one, 'first line\r\nsecond line\r\n')
    expect(recorder.dataOf(one.id)).toBe('DATA')
    one.client.socket.end()
    await recorder.first('end', one.id)
    expect(one.passed).toEqual({ octets: 25, scanState: 0, count: 1 })
    expect(recorder.kindsOf(one.id)).toEqual(['open', 'data', 'passed', 'end'])
  })

  test.each([
    ['the end of data', 'body\r\n.\r\n'],
    ['a bare LF', 'a\nb\r\n'],
    ['a bare CR', 'a\rb\r\n'],
    ['a NUL', 'a\0b\r\n'],
  ])('%s is told of, and nothing of its read has passed', async (_name, text) => {
    const { recorder } = world()
    const one = await passing(world())
    one.client.send('plain\r\n')
    await hears(one, 'plain\r\n')
    one.client.send(text)
    await recorder.until(() => recorder.dataOf(one.id) === `DATA${text}`)
    expect(one.heard()).toBe('plain\r\n')
    expect(one.passed).toEqual({ octets: 7, scanState: 0, count: 1 })
    expect(recorder.kindsOf(one.id)).toEqual(['open', 'data', 'passed', 'data'])
  })

  test('what the next octet decides is kept back until it has come', async () => {
    const one = await passing(world())
    one.client.send('a\r')
    await hears(one, 'a')
    one.client.send('\n')
    await hears(one, 'a\r\n')
    one.client.send('.')
    one.client.send('.b\r\n')
    await hears(one, 'a\r\n..b\r\n')
    one.client.send('.')
    one.client.send('\r\n')
    await world().recorder.until(() => world().recorder.dataOf(one.id).endsWith('\n'))
    expect(one.heard()).toBe('a\r\n..b\r\n')
  })

  test('more than the stated octets is told of', async () => {
    const { recorder } = world()
    const one = await passing(world(), 6)
    one.client.send('four\r\n')
    await hears(one, 'four\r\n')
    one.client.send('x')
    await recorder.until(() => recorder.dataOf(one.id) === 'DATAx')
    expect(one.passed.octets).toBe(6)
  })

  test('a deadline is told behind what passed, and the pass is over', async () => {
    const { engine, recorder } = world()
    const one = await passing(world())
    one.client.send('some\r\n')
    await hears(one, 'some\r\n')
    engine.deadline(one.id, 1)
    await recorder.first('deadline', one.id)
    one.client.send('more\r\n')
    await recorder.until(() => recorder.dataOf(one.id) === 'DATAmore\r\n')
    expect(recorder.kindsOf(one.id)).toEqual(['open', 'data', 'passed', 'deadline', 'data'])
  })

  test('a target that is gone ends the pass', async () => {
    const { engine, recorder } = world()
    const one = await passing(world())
    engine.reset(one.link)
    await recorder.first('close', one.link)
    one.client.send('late\r\n')
    await recorder.until(() => recorder.dataOf(one.id) === 'DATAlate\r\n')
    expect(one.passed).toEqual({ octets: 0, scanState: 0, count: 1 })
  })

  test('a client that is gone: what passed is told, then its close', async () => {
    const { recorder } = world()
    const one = await passing(world())
    one.client.send('some\r\n')
    await hears(one, 'some\r\n')
    one.client.socket.resetAndDestroy()
    await recorder.first('close', one.id)
    expect(one.passed.octets).toBe(6)
    expect(recorder.kindsOf(one.id)).toEqual(['open', 'data', 'passed', 'close'])
  })

  test('a target that does not read ends the pass, and its backlog stays bounded', async () => {
    const { engine, recorder } = world()
    const one = await passing(world())
    one.far.pause()
    const block = Buffer.alloc(65_536, 'abcdefg\r\n')
    const writing = setInterval(() => one.client.socket.write(block.subarray(0, 63_000)), 1)
    await recorder.until(() => one.passed.count === 1)
    clearInterval(writing)
    engine.pause(one.id)
    expect(engine.backlogOctets).toBeGreaterThan(backlogHighOctets)
    expect(engine.backlogOctets).toBeLessThan(backlogHighOctets + 2 * 65_536)
  })

  test("a pass outside the source's own data has no effect", async () => {
    const { engine, opened, recorder } = world()
    const one = await passing(world())
    const other = await opened('x')
    engine.pass?.(other.id, one.link, lineStart, 1e9)
    other.client.send('y')
    await recorder.until(() => recorder.dataOf(other.id) === 'xy')
    expect(one.heard()).toBe('')
  })
}
