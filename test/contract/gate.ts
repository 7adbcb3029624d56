/**
 * The contract of the accept gate: the twin over net.Server and the native one both pass it.
 */
import { type AddressInfo, createServer } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Engine, EngineHandler, EngineOptions } from '../../src/io/engine.ts'
import type { Gate, GatePolicy } from '../../src/io/gate.ts'
import { openPolicy } from './policy.ts'
import { connectClient, type RawClient } from './raw-client.ts'
import { Recorder } from './recorder.ts'

/** What a suite runs the contract on. */
export interface GateUnderTest {
  readonly newEngine: (handler: EngineHandler, options: EngineOptions) => Engine
  readonly newGate: () => Gate
  /** A table of prefixes with their verdict class; answers its handle. */
  readonly newTable: (classes: Readonly<Record<string, number>>) => number
}

/** Binary PROXY header, version 2, TCP over IPv4, from 203.0.113.9:4000. */
export const proxyVersion2 = Buffer.from(
  '0d0a0d0a000d0a515549540a2111000ccb007109c000020a0fa00019',
  'hex',
)

/** Gate, engine and clients of one test, made and taken down around it. */
export class GateWorld {
  readonly recorder = new Recorder()
  readonly engine: Engine
  readonly gate: Gate
  readonly #clients: RawClient[] = []
  port = 0

  constructor(parts: GateUnderTest) {
    this.engine = parts.newEngine(this.recorder, { clientDeadlineMs: 0 })
    this.gate = parts.newGate()
  }

  async open(differences: Partial<GatePolicy> = {}): Promise<void> {
    this.gate.configure(openPolicy(differences))
    const [address = ''] = await this.gate.listen(['127.0.0.1:0'])
    this.port = Number(address.split(':')[1])
    this.gate.addWorker(this.engine.token)
  }

  async client(from?: string): Promise<RawClient> {
    const client = await connectClient(this.port, from)
    this.#clients.push(client)
    return client
  }

  /** A client that has its greeting. */
  async greeted(from?: string): Promise<RawClient> {
    const client = await this.client(from)
    await client.sees('220 mx.example.test')
    return client
  }

  /** What a client gets that says nothing. */
  async answerTo(from?: string): Promise<string> {
    const client = await this.client(from)
    await client.ends()
    return client.text
  }

  async until(isReached: () => boolean): Promise<void> {
    while (!isReached()) await new Promise(setImmediate)
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.socket.destroy()
    const { engine, recorder } = this
    recorder.reactions = { onOpen: (id) => engine.close(id), onDeadline: (id) => engine.close(id) }
    for (const one of recorder.told) engine.reset(one.id)
    await engine.stop()
    await this.gate.close()
  }
}

/** Runs the contract. */
export function runGateContract(parts: GateUnderTest): void {
  let world: GateWorld
  beforeEach(() => {
    world = new GateWorld(parts)
  })
  afterEach(() => world.close())

  describe('lists', () => listTests(() => world, parts))
  describe('limits', () => limitTests(() => world, parts))
  describe('greeting', () => greetingTests(() => world, parts))
  describe('balancers', () => balancerTests(() => world, parts))
  describe('life', () => lifeTests(() => world, parts))
}

type World = () => GateWorld

function listTests(world: World, { newTable }: GateUnderTest): void {
  test('B3: a listed address is refused before it may speak, its neighbour is greeted', async () => {
    await world().open({ blacklist: newTable({ '127.0.1.0/24': 3 }) })
    const answer = await world().answerTo('127.0.1.255')
    expect(answer).toMatch(/^554 5\.7\.1 \[127\.0\.1\.255\] id=[0-9a-z]{12}\r\n$/)
    await world().greeted('127.0.2.0')
    await world().greeted('127.0.0.255')
    expect(world().gate.counters()).toMatchObject({ accepted: 3, refused: 1, passed: 2 })
  })

  test('a refusal is recorded once, with the id that its reply carried', async () => {
    await world().open({ blacklist: newTable({ '127.0.1.0/24': 3 }) })
    const client = await world().client('127.0.1.7')
    const port = client.socket.localPort
    await client.ends()
    const [refusal, ...rest] = world().gate.refusals()
    expect(rest).toEqual([])
    expect(refusal).toMatchObject({
      address: '127.0.1.7',
      port,
      cause: 'blacklist',
      action: 'refuse',
      verdictClass: 3,
      octets: 0,
    })
    expect(client.text).toContain(`id=${refusal?.id}\r\n`)
    expect(Math.abs(Date.now() - (refusal?.time ?? 0))).toBeLessThan(600_000)
    expect(world().gate.refusals()).toEqual([])
  })

  test('no two refusals have the same id', async () => {
    await world().open({ blacklist: newTable({ '127.0.1.0/24': 3 }) })
    await Promise.all(Array.from({ length: 50 }, () => world().answerTo('127.0.1.7')))
    expect(
      new Set(
        world()
          .gate.refusals()
          .map((one) => one.id),
      ).size,
    ).toBe(50)
  })

  test('a listed client that talks at once still gets the whole reply', async () => {
    await world().open({ blacklist: newTable({ '127.0.1.0/24': 3 }) })
    const client = await world().client('127.0.1.7')
    client.send('EHLO early\r\n')
    await client.sees('id=')
  })

  test('B2: trusted comes before the blacklist', async () => {
    await world().open({
      blacklist: newTable({ '127.0.0.0/8': 3 }),
      trusted: newTable({ '127.0.9.0/24': 1 }),
    })
    const client = await world().greeted('127.0.9.1')
    client.send('EHLO x\r\n')
    const { peer } = await world().recorder.first('open')
    expect(peer).toMatchObject({ address: '127.0.9.1', isTrusted: true, verdictClass: 0 })
    expect(await world().answerTo('127.0.8.1')).toMatch(/^554/)
  })

  test('the rule of the class acts; a class that is not named has the rule of class 0', async () => {
    await world().open({
      blacklist: newTable({ '127.0.1.0/24': 1, '127.0.2.0/24': 2, '127.0.3.0/24': 70 }),
      classRules: [
        { verdictClass: 1, action: 'refuse', reply: '554 5.7.1 one\r\n' },
        { verdictClass: 2, action: 'refuse', reply: '550 5.7.1 {id} two {id} {other}\r\n' },
        { verdictClass: 0, action: 'refuse', reply: '554 5.7.1 any\r\n' },
      ],
    })
    expect(await world().answerTo('127.0.1.1')).toBe('554 5.7.1 one\r\n')
    expect(await world().answerTo('127.0.2.1')).toMatch(/^550 5.7.1 (\w{12}) two \1 \{other\}\r\n$/)
    expect(await world().answerTo('127.0.3.1')).toBe('554 5.7.1 any\r\n')
  })

  test('observe lets the client pass and says its class', async () => {
    await world().open({
      blacklist: newTable({ '127.0.1.0/24': 5 }),
      classRules: [{ verdictClass: 0, action: 'observe', reply: '' }],
    })
    const client = await world().greeted('127.0.1.1')
    client.send('EHLO x\r\n')
    expect((await world().recorder.first('open')).peer.verdictClass).toBe(5)
    expect(world().gate.refusals()).toEqual([])
  })

  test('reset ends without a word', async () => {
    await world().open({
      blacklist: newTable({ '127.0.1.0/24': 5 }),
      classRules: [{ verdictClass: 0, action: 'reset', reply: '' }],
    })
    const client = await world().client('127.0.1.1')
    expect(await client.ends()).toBe('reset')
    expect(client.text).toBe('')
    expect(world().gate.refusals()).toMatchObject([{ action: 'reset' }])
    expect(world().gate.counters()).toMatchObject({ reset: 1, refused: 0 })
  })

  test('drop at accept ends without a word and is counted', async () => {
    await world().open({
      blacklist: newTable({ '127.0.1.0/24': 5 }),
      classRules: [{ verdictClass: 0, action: 'drop', reply: '' }],
    })
    expect(await world().answerTo('127.0.1.1')).toBe('')
    expect(world().gate.counters()).toMatchObject({ dropped: 1, refused: 0 })
  })

  test('tarpit sends its reply an octet at a time and then closes', async () => {
    await world().open({
      blacklist: newTable({ '127.0.1.0/24': 5 }),
      classRules: [{ verdictClass: 0, action: 'tarpit', reply: '5\r\n' }],
    })
    const client = await world().client('127.0.1.1')
    client.send('EHLO impatient\r\n')
    await client.sees('5')
    expect(client.text).not.toContain('\n')
    expect(world().gate.counters()).toMatchObject({ tarpits: 1, tarpitted: 1 })
    await client.ends()
    expect(client.text).toBe('5\r\n')
    await world().until(() => world().gate.counters().tarpits === 0)
    expect(world().gate.refusals()).toMatchObject([{ action: 'tarpit', cause: 'blacklist' }])
  })

  test('tarpits are bounded: above, the whole reply at once; who leaves makes room', async () => {
    await world().open({
      blacklist: newTable({ '127.0.1.0/24': 5 }),
      tarpitMax: 1,
      classRules: [{ verdictClass: 0, action: 'tarpit', reply: '554 5.7.1 slow\r\n' }],
    })
    const first = await world().client('127.0.1.1')
    await world().until(() => world().gate.counters().tarpits === 1)
    expect(await world().answerTo('127.0.1.2')).toBe('554 5.7.1 slow\r\n')
    first.socket.destroy()
    await world().until(() => world().gate.counters().tarpits === 0)
    await world().client('127.0.1.3')
    await world().until(() => world().gate.counters().tarpits === 1)
  })
}

function limitTests(world: World, { newTable }: GateUnderTest): void {
  test('per address: one too many is told so, another address is not touched, a closed one makes room', async () => {
    await world().open({ perAddressMax: 2 })
    await world().greeted('127.0.1.1')
    const second = await world().greeted('127.0.1.1')
    expect(await world().answerTo('127.0.1.1')).toMatch(/^421 4\.7\.0 /)
    await world().greeted('127.0.1.2')
    expect(world().gate.refusals()).toMatchObject([{ cause: 'per-address', action: 'tempfail' }])
    expect(world().gate.counters()).toMatchObject({ limited: 1 })
    second.socket.resetAndDestroy()
    await world().until(() => world().gate.counters().connections === 2)
    await world().greeted('127.0.1.1')
  })

  test('rate: the connection after the last permitted one of the window is told so', async () => {
    await world().open({ rateMax: 3, rateWindowMs: 3_600_000 })
    for (let count = 0; count < 3; count += 1) {
      const client = await world().greeted('127.0.1.1')
      client.socket.resetAndDestroy()
    }
    expect(await world().answerTo('127.0.1.1')).toMatch(/^421 4\.7\.0 /)
    await world().greeted('127.0.1.2')
    expect(world().gate.refusals()).toMatchObject([{ cause: 'rate' }])
  })

  test('a trusted host has no limit of its own', async () => {
    await world().open({ perAddressMax: 1, rateMax: 1, trusted: newTable({ '127.0.9.0/24': 1 }) })
    await world().greeted('127.0.9.1')
    await world().greeted('127.0.9.1')
  })

  test('in all: 421 4.3.2 above the bound', async () => {
    await world().open({ connectionsMax: 2 })
    const first = await world().greeted()
    await world().greeted()
    expect(await world().answerTo()).toMatch(/^421 4\.3\.2 /)
    expect(world().gate.refusals()).toMatchObject([{ cause: 'overload', action: 'tempfail' }])
    first.socket.resetAndDestroy()
    await world().until(() => world().gate.counters().connections === 1)
    await world().greeted()
  })

  test('sessions per worker: 421 4.3.2 when no worker has room', async () => {
    await world().open({ sessionsPerWorkerMax: 1 })
    await world().greeted()
    expect(await world().answerTo()).toMatch(/^421 4\.3\.2 /)
    expect(world().gate.counters()).toMatchObject({ overloaded: 1, workers: 1 })
  })

  test('without a worker: 421 4.3.2', async () => {
    await world().open()
    world().gate.removeWorker(world().engine.token)
    expect(world().gate.counters().workers).toBe(0)
    expect(await world().answerTo()).toMatch(/^421 4\.3\.2 /)
  })

  test('an IPv6 host is its /64', async () => {
    await world().open({ perAddressMax: 1, proxyProtocolFrom: newTable({ '127.0.0.1/32': 1 }) })
    const header = (address: string) => `PROXY TCP6 ${address} 2001:db8:9::1 4000 25\r\n`
    const first = (await world().client()).send(header('2001:db8::1'))
    await first.sees('220 ')
    const sameHost = (await world().client()).send(header('2001:db8::ffff:1:2:3'))
    await sameHost.sees('421 4.7.0')
    const otherHost = (await world().client()).send(header('2001:db8:0:1::1'))
    await otherHost.sees('220 ')
  })
}

function greetingTests(world: World, { newTable }: GateUnderTest): void {
  test('a client that waits is greeted after the delay', async () => {
    await world().open({ greetDelayMs: 50, earlyTalker: 'enforce' })
    const client = await world().client()
    await client.sees('220 ')
    expect(world().gate.counters()).toMatchObject({ passed: 1, waiting: 0, earlyTalkers: 0 })
  })

  test('a client that talks before the greeting is refused and its octets are counted', async () => {
    await world().open({ greetDelayMs: 600_000, earlyTalker: 'enforce' })
    const client = await world().client()
    await world().until(() => world().gate.counters().waiting === 1)
    client.send('EHLO spam\r\n')
    expect(await client.sees('\r\n')).toMatch(/^554 5\.5\.1 .* id=\w{12}\r\n$/)
    const [refusal] = world().gate.refusals()
    expect(refusal).toMatchObject({ cause: 'early-talker', action: 'refuse', octets: 11 })
    expect(client.text).toContain(refusal?.id ?? 'none')
    expect(world().gate.counters()).toMatchObject({ earlyTalkers: 1, waiting: 0, passed: 0 })
  })

  test('tempfail gives the reply of the policy and says so', async () => {
    const earlyTalkerReply = '450 4.7.1 wait for the greeting\r\n'
    await world().open({ greetDelayMs: 600_000, earlyTalker: 'tempfail', earlyTalkerReply })
    const client = (await world().client()).send('EHLO spam\r\n')
    await client.sees(earlyTalkerReply)
    expect(world().gate.refusals()).toMatchObject([{ cause: 'early-talker', action: 'tempfail' }])
  })

  test('observe lets the early talker pass with its octets, and the session knows', async () => {
    await world().open({ greetDelayMs: 200, earlyTalker: 'observe' })
    const client = (await world().client()).send('EHLO spam\r\n')
    await client.sees('220 ')
    const { peer, id } = await world().recorder.first('open')
    expect(peer.isEarlyTalker).toBe(true)
    await world().recorder.until(() => world().recorder.dataOf(id) === 'EHLO spam\r\n')
    expect(world().gate.counters()).toMatchObject({ earlyTalkers: 1, passed: 1 })
  })

  test('a trusted host is greeted without delay', async () => {
    await world().open({ greetDelayMs: 600_000, trusted: newTable({ '127.0.9.0/24': 1 }) })
    await world().greeted('127.0.9.1')
  })

  test('a client that leaves while it waits is forgotten', async () => {
    await world().open({ greetDelayMs: 600_000, earlyTalker: 'enforce', perAddressMax: 1 })
    const client = await world().client()
    await world().until(() => world().gate.counters().waiting === 1)
    client.socket.end()
    await world().until(() => world().gate.counters().connections === 0)
    expect(world().gate.counters().waiting).toBe(0)
    await world().client()
    await world().until(() => world().gate.counters().waiting === 1)
    expect(world().gate.refusals()).toEqual([])
  })
}

function balancerTests(world: World, { newTable }: GateUnderTest): void {
  const line = 'PROXY TCP4 203.0.113.9 192.0.2.10 4000 25\r\n'
  const loopback = { '127.0.0.1/32': 1 }

  test.each([
    ['version 1', Buffer.from(line)],
    ['version 2', proxyVersion2],
  ])('%s: the client is the one that the header names', async (_version, header) => {
    await world().open({ proxyProtocolFrom: newTable(loopback) })
    const client = (await world().client()).send(header)
    await client.sees('220 ')
    client.send('EHLO x\r\n')
    const { peer, id } = await world().recorder.first('open')
    const expected = { address: '203.0.113.9', port: 4000, localAddress: '192.0.2.10' }
    expect(peer).toMatchObject({ ...expected, localPort: 25 })
    await world().recorder.until(() => world().recorder.dataOf(id) === 'EHLO x\r\n')
  })

  test('the header may come in two parts, cut anywhere', async () => {
    await world().open({ proxyProtocolFrom: newTable(loopback) })
    for (const header of [Buffer.from(line), proxyVersion2]) {
      for (let cut = 1; cut < header.length; cut += 1) {
        const client = await world().client()
        client.send(header.subarray(0, cut))
        await new Promise(setImmediate)
        client.send(header.subarray(cut))
        await client.sees('220 ')
        client.socket.resetAndDestroy()
      }
    }
    expect(world().gate.refusals()).toEqual([])
  })

  test('B3: the lists judge the client of the header, not the balancer', async () => {
    await world().open({
      proxyProtocolFrom: newTable(loopback),
      blacklist: newTable({ '203.0.113.0/24': 2, '127.0.0.0/8': 1 }),
    })
    const client = (await world().client()).send(line)
    expect(await client.sees('\r\n')).toContain('[203.0.113.9]')
    expect(world().gate.refusals()).toMatchObject([{ address: '203.0.113.9', port: 4000 }])
  })

  test('octets behind the header are early talk', async () => {
    const early = { earlyTalker: 'enforce', greetDelayMs: 600_000 } as const
    await world().open({ proxyProtocolFrom: newTable(loopback), ...early })
    const client = (await world().client()).send(`${line}EHLO x\r\n`)
    await client.sees('554 5.5.1')
    expect(world().gate.refusals()).toMatchObject([{ cause: 'early-talker', octets: 8 }])
  })

  test('octets behind the header reach the session where early talk is not tested', async () => {
    await world().open({ proxyProtocolFrom: newTable(loopback) })
    const client = (await world().client()).send(`${line}EHLO x\r\n`)
    await client.sees('220 ')
    const { id } = await world().recorder.first('open')
    await world().recorder.until(() => world().recorder.dataOf(id) === 'EHLO x\r\n')
  })

  test('LOCAL and UNKNOWN keep the address of the connection', async () => {
    await world().open({ proxyProtocolFrom: newTable(loopback) })
    const local = Buffer.from('0d0a0d0a000d0a515549540a20110003010203', 'hex')
    for (const header of ['PROXY UNKNOWN\r\n', local]) {
      const client = (await world().client()).send(header)
      await client.sees('220 ')
      client.send('x')
      await world().recorder.until(() => world().recorder.told.at(-1)?.kind === 'data')
      const { peer } = await world().recorder.first('open')
      expect(peer.address).toBe('127.0.0.1')
    }
  })

  test('a broken header closes without a greeting and is recorded', async () => {
    await world().open({ proxyProtocolFrom: newTable(loopback) })
    const client = (await world().client()).send('EHLO x\r\n')
    await client.ends()
    expect(client.text).toBe('')
    expect(world().gate.refusals()).toMatchObject([{ cause: 'proxy-header', address: '127.0.0.1' }])
    const quitter = (await world().client()).send('PROXY TCP4 203')
    quitter.socket.end()
    await quitter.ends()
    expect(quitter.text).toBe('')
  })

  test('a balancer that sends no header is closed in time', async () => {
    await world().open({ proxyProtocolFrom: newTable(loopback) })
    expect(await world().answerTo()).toBe('')
    expect(world().gate.refusals()).toMatchObject([{ cause: 'proxy-header' }])
  })

  test('from anybody else a header is just octets', async () => {
    await world().open({ proxyProtocolFrom: newTable({ '127.0.5.0/24': 1 }) })
    const client = await world().greeted()
    client.send(line)
    const { peer, id } = await world().recorder.first('open')
    expect(peer.address).toBe('127.0.0.1')
    await world().recorder.until(() => world().recorder.dataOf(id) === line)
  })
}

function lifeTests(world: World, parts: GateUnderTest): void {
  test('configure acts at once on every new connection', async () => {
    await world().open()
    await world().greeted()
    world().gate.configure(openPolicy({ blacklist: parts.newTable({ '127.0.0.0/8': 1 }) }))
    expect(await world().answerTo()).toMatch(/^554 /)
    world().gate.configure(openPolicy({ greeting: '220 other name\r\n' }))
    await (await world().client()).sees('220 other name\r\n')
  })

  test('who connects between listen and configure waits for the policy', async () => {
    const [address = ''] = await world().gate.listen(['127.0.0.1:0'])
    world().port = Number(address.split(':')[1])
    world().gate.addWorker(world().engine.token)
    const client = await world().client()
    world().gate.configure(openPolicy())
    await client.sees('220 ')
  })

  test('drain refuses new clients and leaves the others alone', async () => {
    await world().open()
    const client = await world().greeted()
    world().gate.drain()
    expect(await world().answerTo()).toMatch(/^421 4\.3\.2 /)
    client.send('still here')
    await world().recorder.first('data')
  })

  test('one port of IPv4 and IPv6 both', async () => {
    const { gate, engine } = world()
    gate.configure(openPolicy())
    gate.addWorker(engine.token)
    const [first = ''] = await gate.listen(['127.0.0.1:0'])
    const port = Number(first.split(':')[1])
    expect(await gate.listen([`[::1]:${port}`])).toEqual([`[::1]:${port}`])
    world().port = port
    await world().greeted()
    const client = await world().greeted('::1')
    client.send('x')
    expect((await world().recorder.first('open')).peer.address).toBe('::1')
  })

  test('a taken port and a bad address are said clearly', async () => {
    const occupant = createServer()
    await new Promise<void>((resolve) => occupant.listen(0, '127.0.0.1', resolve))
    const { port } = occupant.address() as AddressInfo
    const other = parts.newGate()
    const taken = other.listen([`127.0.0.1:${port}`])
    await expect(taken).rejects.toMatchObject({ code: 'LISTEN_IN_USE' })
    await expect(other.listen(['nonsense'])).rejects.toMatchObject({ code: 'LISTEN_BAD_ADDRESS' })
    await expect(other.listen(['192.0.2.1:0'])).rejects.toMatchObject({ code: 'LISTEN_NOT_HERE' })
    await other.close()
    occupant.close()
  })

  test('close frees the port and closes what the gate holds', async () => {
    await world().open({ greetDelayMs: 600_000 })
    const { gate, port } = world()
    const client = await world().client()
    await world().until(() => gate.counters().waiting === 1)
    await gate.close()
    await client.ends()
    await expect(world().client()).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    expect(port).toBeGreaterThan(0)
  })
}
