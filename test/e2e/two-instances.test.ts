/**
 * B27, Show 2: two instances facing each other, each questioning the other's host while it waits.
 */
import { createServer } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { type Internet, startInternet } from '../internet/internet.ts'
import { sendLetter } from '../internet/letter.ts'
import type { World } from '../internet/world.ts'
import { describeWith, needsAddon } from '../support/needs.ts'
import { type ProbingProxy, startProbingProxy } from '../support/probing-proxy.ts'

const addresses = { east: '127.0.8.1', west: '127.0.8.2' } as const
type Side = keyof typeof addresses

const world: World = {
  hosts: {},
  domains: {
    'east.example': { mx: ['mx.east.example'] },
    'west.example': { mx: ['mx.west.example'] },
  },
  addresses: { 'mx.east.example': [addresses.east], 'mx.west.example': [addresses.west] },
  mailhost: { address: '127.0.0.1', domains: ['east.example', 'west.example'], users: ['ann'] },
}

const ends: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0)) await end()
})

async function startSide(
  internet: Internet,
  side: Side,
  port: number,
  { isNative, at }: { readonly isNative: boolean; readonly at: string },
): Promise<ProbingProxy> {
  const changes = {
    name: `mx.${side}.example`,
    listen: { smtp: [`${addresses[side]}:${port}`] },
    recipients: { domains: [`${side}.example`] },
    tests: { at },
    probe: {
      helo: `mx.${side}.example`,
      sender: `probe@${side}.example`,
      relay_recipient: `probe@${side}.example`,
      source: [addresses[side]],
      port,
      connect_wait: '5s',
      reply_wait: '5s',
      budget: '15s',
    },
  }
  const proxy = await startProbingProxy(internet, { changes, isNative })
  ends.push(() => proxy.end())
  return proxy
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, addresses.east, () => {
      const bound = server.address()
      const port = typeof bound === 'object' && bound !== null ? bound.port : 0
      server.close(() => resolve(port))
    })
  })
}

const ways = [
  { way: 'the twins', isNative: false },
  { way: 'native threads', isNative: true },
]
const cases = ways.flatMap((way) =>
  ['mail', 'rcpt', 'data'].flatMap((at) => [1, 4].map((letters) => ({ ...way, at, letters }))),
)

describeWith([needsAddon()], 'B27, Show 2: two instances', () => {
  test.each(cases)(
    '$letters letters each way at once on $way, tests.at = $at: bounded connections, all delivered',
    async ({ isNative, at, letters }) => {
      const internet = await startInternet(world)
      ends.push(() => internet.close())
      const port = await freePort()
      const east = await startSide(internet, 'east', port, { isNative, at })
      const west = await startSide(internet, 'west', port, { isNative, at })
      const send = (from: Side, to: Side) =>
        sendLetter(addresses[to], port, {
          from: addresses[from],
          sender: `ann@${from}.example`,
          recipients: [`ann@${to}.example`],
        })
      const sent = await Promise.all(
        Array.from({ length: letters }, () => [send('east', 'west'), send('west', 'east')]).flat(),
      )
      expect(sent.map(({ isTaken }) => isTaken)).toEqual(
        Array.from({ length: letters * 2 }, () => true),
      )
      expect(internet.mailhost.delivered).toHaveLength(letters * 2)
      // The letters, and from the other side: one reverse connection, one question about the
      // sender; at MAIL one more, about the sender that the reverse connection names.
      const questions = at === 'mail' ? 3 : 2
      for (const proxy of [east, west]) {
        expect(proxy.status().gate.accepted).toBeLessThanOrEqual(letters + questions)
      }
    },
  )
})
