/**
 * The contract of the accept gate: the twin over net.Server and the native one both pass it.
 */
import { type AddressInfo, createServer } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { balancerTests, greetingTests } from './gate-greeting.ts'
import { type GateUnderTest, GateWorld } from './gate-world.ts'
import { openPolicy } from './policy.ts'

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
    await world().open({ blacklist: newTable('127.0.1.0/24').handle })
    const answer = await world().answerTo('127.0.1.255')
    expect(answer).toMatch(/^554 5\.7\.1 \[127\.0\.1\.255\] id=[0-9a-z]{12}\r\n$/)
    await world().greeted('127.0.2.0')
    await world().greeted('127.0.0.255')
    expect(world().gate.counters()).toMatchObject({ accepted: 3, refused: 1, passed: 2 })
  })

  test('a refusal is recorded once, with the id that its reply carried', async () => {
    const table = newTable('127.0.1.0/24')
    await world().open({ blacklist: table.handle })
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
      verdictClass: table.classOf('127.0.1.7'),
      octets: 0,
    })
    expect(client.text).toContain(`id=${refusal?.id}\r\n`)
    expect(Math.abs(Date.now() - (refusal?.time ?? 0))).toBeLessThan(600_000)
    expect(world().gate.refusals()).toEqual([])
  })

  test('no two refusals have the same id', async () => {
    await world().open({ blacklist: newTable('127.0.1.0/24').handle })
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
    await world().open({ blacklist: newTable('127.0.1.0/24').handle })
    const client = await world().client('127.0.1.7')
    client.send('EHLO early\r\n')
    await client.sees('id=')
  })

  test('B2: trusted comes before the blacklist', async () => {
    await world().open({
      blacklist: newTable('127.0.0.0/8').handle,
      trusted: newTable('127.0.9.0/24').handle,
    })
    const client = await world().greeted('127.0.9.1')
    client.send('EHLO x\r\n')
    const { peer } = await world().recorder.first('open')
    expect(peer).toMatchObject({ address: '127.0.9.1', isTrusted: true, verdictClass: 0 })
    expect(await world().answerTo('127.0.8.1')).toMatch(/^554/)
  })

  test('the rule of the class acts; a class that is not named has the rule of class 0', async () => {
    const table = newTable('127.0.1.0/24', '127.0.2.0/24', '127.0.3.0/24')
    const [first, second] = [table.classOf('127.0.1.1'), table.classOf('127.0.2.1')]
    await world().open({
      blacklist: table.handle,
      classRules: [
        { verdictClass: first, action: 'refuse', reply: '554 5.7.1 one\r\n' },
        { verdictClass: second, action: 'refuse', reply: '550 5.7.1 {id} two {id} {other}\r\n' },
        { verdictClass: 0, action: 'refuse', reply: '554 5.7.1 any\r\n' },
      ],
    })
    expect(await world().answerTo('127.0.1.1')).toBe('554 5.7.1 one\r\n')
    expect(await world().answerTo('127.0.2.1')).toMatch(/^550 5.7.1 (\w{12}) two \1 \{other\}\r\n$/)
    expect(await world().answerTo('127.0.3.1')).toBe('554 5.7.1 any\r\n')
  })

  test('observe lets the client pass and says its class', async () => {
    const table = newTable('127.0.1.0/24')
    await world().open({
      blacklist: table.handle,
      classRules: [{ verdictClass: 0, action: 'observe', reply: '' }],
    })
    const client = await world().greeted('127.0.1.1')
    client.send('EHLO x\r\n')
    expect((await world().recorder.first('open')).peer.verdictClass).toBe(
      table.classOf('127.0.1.1'),
    )
    expect(world().gate.refusals()).toEqual([])
  })

  test('reset ends without a word', async () => {
    await world().open({
      blacklist: newTable('127.0.1.0/24').handle,
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
      blacklist: newTable('127.0.1.0/24').handle,
      classRules: [{ verdictClass: 0, action: 'drop', reply: '' }],
    })
    expect(await world().answerTo('127.0.1.1')).toBe('')
    expect(world().gate.counters()).toMatchObject({ dropped: 1, refused: 0 })
  })

  test('tarpit sends its reply an octet at a time and then closes', async () => {
    await world().open({
      blacklist: newTable('127.0.1.0/24').handle,
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

  test('tarpit_max 0 holds nobody: the whole reply at once', async () => {
    await world().open({
      blacklist: newTable('127.0.1.0/24').handle,
      tarpitMax: 0,
      classRules: [{ verdictClass: 0, action: 'tarpit', reply: '554 5.7.1 slow\r\n' }],
    })
    expect(await world().answerTo('127.0.1.1')).toBe('554 5.7.1 slow\r\n')
    expect(world().gate.counters()).toMatchObject({ tarpitted: 0, refused: 1 })
  })

  test('tarpits are bounded: above, the whole reply at once; who leaves makes room', async () => {
    await world().open({
      blacklist: newTable('127.0.1.0/24').handle,
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
    await world().open({ perAddressMax: 1, rateMax: 1, trusted: newTable('127.0.9.0/24').handle })
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

  test('connections_max 0 is no limit', async () => {
    await world().open({ connectionsMax: 0 })
    await world().greeted()
    await world().greeted()
    expect(world().gate.counters()).toMatchObject({ overloaded: 0, connections: 2 })
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
    await world().open({ perAddressMax: 1, proxyProtocolFrom: newTable('127.0.0.1/32').handle })
    const header = (address: string) => `PROXY TCP6 ${address} 2001:db8:9::1 4000 25\r\n`
    const first = (await world().client()).send(header('2001:db8::1'))
    await first.sees('220 ')
    const sameHost = (await world().client()).send(header('2001:db8::ffff:1:2:3'))
    await sameHost.sees('421 4.7.0')
    const otherHost = (await world().client()).send(header('2001:db8:0:1::1'))
    await otherHost.sees('220 ')
  })
}

function lifeTests(world: World, parts: GateUnderTest): void {
  test('configure acts at once on every new connection', async () => {
    await world().open()
    await world().greeted()
    world().gate.configure(openPolicy({ blacklist: parts.newTable('127.0.0.0/8').handle }))
    expect(await world().answerTo()).toMatch(/^554 /)
    world().gate.configure(openPolicy({ greeting: '220 other name\r\n' }))
    await (await world().client()).sees('220 other name\r\n')
  })

  test('a port that another gate has is refused by name, and the other goes on', async () => {
    await world().open()
    const second = parts.newGate()
    const address = `127.0.0.1:${world().port}`
    await expect(second.listen([address])).rejects.toMatchObject({ code: 'LISTEN_IN_USE' })
    await second.close()
    await world().greeted()
  })

  test('who connects between listen and configure waits for the policy', async () => {
    const [address = ''] = await world().gate.listen(['127.0.0.1:0'])
    world().port = Number(address.split(':')[1])
    world().gate.addWorker(world().engine.token)
    const client = await world().client()
    world().gate.configure(openPolicy())
    await client.sees('220 ')
  })

  test('who resets before the gate has looked at it hurts nobody', async () => {
    const [address = ''] = await world().gate.listen(['127.0.0.1:0'])
    world().port = Number(address.split(':')[1])
    world().gate.addWorker(world().engine.token)
    const gone = await world().client()
    const other = await world().client()
    gone.socket.resetAndDestroy()
    await gone.ends()
    const trusted = parts.newTable('127.0.9.0/24').handle
    world().gate.configure(openPolicy({ trusted }))
    await other.sees('220 ')
    await world().greeted()
    await world().until(() => world().gate.counters().connections === 2)
  })

  test('drain refuses new clients and leaves the others alone', async () => {
    await world().open()
    const client = await world().greeted()
    world().gate.drain()
    expect(await world().answerTo()).toMatch(/^421 4\.3\.2 Stopping, /)
    expect(world().gate.refusals()).toMatchObject([{ cause: 'stopping', action: 'tempfail' }])
    expect(world().gate.counters()).toMatchObject({ stopping: 1, overloaded: 0 })
    client.send('still here')
    await world().recorder.first('data')
  })

  test('drain: who waits for the greeting is refused when it is due, a listed host as ever', async () => {
    const blacklist = parts.newTable('127.0.9.0/24').handle
    await world().open({ greetDelayMs: 300, blacklist })
    const waiting = world().answerTo()
    await world().until(() => world().gate.counters().waiting === 1)
    world().gate.drain()
    expect(await waiting).toMatch(/^421 4\.3\.2 Stopping, /)
    expect(await world().answerTo('127.0.9.1')).toMatch(/^554 /)
    const causes = world()
      .gate.refusals()
      .map(({ cause }) => cause)
    expect(causes).toEqual(['stopping', 'blacklist'])
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
