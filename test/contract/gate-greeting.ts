/** The gate's contract before the greeting: early talk, and the PROXY headers of balancers. */
import { expect, test, vi } from 'vitest'
import type { GateUnderTest, GateWorld } from './gate-world.ts'
import { openPolicy } from './policy.ts'

/** Binary PROXY header, version 2, TCP over IPv4, from 203.0.113.9:4000. */
export const proxyVersion2 = Buffer.from(
  '0d0a0d0a000d0a515549540a2111000ccb007109c000020a0fa00019',
  'hex',
)

type World = () => GateWorld

/** Delay and early talk. */
export function greetingTests(world: World, { newTable }: GateUnderTest): void {
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
    await world().open({ greetDelayMs: 600_000, trusted: newTable('127.0.9.0/24').handle })
    await world().greeted('127.0.9.1')
  })

  test('who waits is greeted as the policy of a reload says: sooner, and in its words', async () => {
    await world().open({ greetDelayMs: 600_000, earlyTalker: 'enforce' })
    const client = await world().client()
    await world().until(() => world().gate.counters().waiting === 1)
    world().gate.configure(openPolicy({ greetDelayMs: 50, greeting: '220 other name\r\n' }))
    expect(await client.sees('\r\n')).toBe('220 other name\r\n')
  })

  test('who waits is greeted after the delay, to whatever the wall clock is set meanwhile', async () => {
    await world().open({ greetDelayMs: 600_000, earlyTalker: 'enforce' })
    const client = await world().client()
    await world().until(() => world().gate.counters().waiting === 1)
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - 86_400_000 })
    world().gate.configure(openPolicy({ greetDelayMs: 50 }))
    vi.useRealTimers()
    await client.sees('220 ')
  })

  test('who has talked while nobody asked is found when the greeting is due', async () => {
    await world().open({ greetDelayMs: 600_000, earlyTalker: 'off' })
    const client = await world().client()
    await world().until(() => world().gate.counters().waiting === 1)
    client.send('EHLO spam\r\n')
    // Who comes behind is seen behind.
    const silent = await world().client()
    await world().until(() => world().gate.counters().waiting === 2)
    world().gate.configure(openPolicy({ greetDelayMs: 1, earlyTalker: 'enforce' }))
    expect(await client.sees('\r\n')).toMatch(/^554 5\.5\.1 /)
    await silent.sees('220 ')
    expect(world().gate.counters()).toMatchObject({ earlyTalkers: 1, passed: 1 })
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

/** PROXY headers. */
export function balancerTests(world: World, { newTable }: GateUnderTest): void {
  const line = 'PROXY TCP4 203.0.113.9 192.0.2.10 4000 25\r\n'
  const loopback = '127.0.0.1/32'

  test.each([
    ['version 1', Buffer.from(line)],
    ['version 2', proxyVersion2],
  ])('%s: the client is the one that the header names', async (_version, header) => {
    await world().open({ proxyProtocolFrom: newTable(loopback).handle })
    const client = (await world().client()).send(header)
    await client.sees('220 ')
    client.send('EHLO x\r\n')
    const { peer, id } = await world().recorder.first('open')
    const expected = { address: '203.0.113.9', port: 4000, localAddress: '192.0.2.10' }
    expect(peer).toMatchObject({ ...expected, localPort: 25 })
    await world().recorder.until(() => world().recorder.dataOf(id) === 'EHLO x\r\n')
  })

  test('the header may come in two parts, cut anywhere', async () => {
    await world().open({ proxyProtocolFrom: newTable(loopback).handle })
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
      proxyProtocolFrom: newTable(loopback).handle,
      blacklist: newTable('203.0.113.0/24', '127.0.0.0/8').handle,
    })
    const client = (await world().client()).send(line)
    expect(await client.sees('\r\n')).toContain('[203.0.113.9]')
    expect(world().gate.refusals()).toMatchObject([{ address: '203.0.113.9', port: 4000 }])
  })

  test('octets behind the header are early talk', async () => {
    const early = { earlyTalker: 'enforce', greetDelayMs: 600_000 } as const
    await world().open({ proxyProtocolFrom: newTable(loopback).handle, ...early })
    const client = (await world().client()).send(`${line}EHLO x\r\n`)
    await client.sees('554 5.5.1')
    expect(world().gate.refusals()).toMatchObject([{ cause: 'early-talker', octets: 8 }])
  })

  test('octets behind the header reach the session where early talk is not tested', async () => {
    await world().open({ proxyProtocolFrom: newTable(loopback).handle })
    const client = (await world().client()).send(`${line}EHLO x\r\n`)
    await client.sees('220 ')
    const { id } = await world().recorder.first('open')
    await world().recorder.until(() => world().recorder.dataOf(id) === 'EHLO x\r\n')
  })

  test('LOCAL and UNKNOWN keep the address of the connection', async () => {
    await world().open({ proxyProtocolFrom: newTable(loopback).handle })
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
    await world().open({ proxyProtocolFrom: newTable(loopback).handle })
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
    await world().open({ proxyProtocolFrom: newTable(loopback).handle })
    expect(await world().answerTo()).toBe('')
    expect(world().gate.refusals()).toMatchObject([{ cause: 'proxy-header' }])
  })

  test('from anybody else a header is just octets', async () => {
    await world().open({ proxyProtocolFrom: newTable('127.0.5.0/24').handle })
    const client = await world().greeted()
    client.send(line)
    const { peer, id } = await world().recorder.first('open')
    expect(peer.address).toBe('127.0.0.1')
    await world().recorder.until(() => world().recorder.dataOf(id) === line)
  })
}
