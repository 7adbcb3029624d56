/**
 * Ports of the tests: a free one, and waiting until somebody answers on it.
 */
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** Below the kernel's ephemeral range, so that no outgoing connection takes one by chance. */
const portFirst = 10_000
const portsCount = 20_000

/**
 * A port of 127.0.0.1 that is free now. Not an ephemeral one: a client that finds nobody there
 * could be given the same port and be connected to itself.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = portFirst + Math.floor(Math.random() * portsCount)
    if (await isFree(port)) return port
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1')
  const [event] = await Promise.race([
    once(server, 'listening').then(() => ['listening']),
    once(server, 'error'),
  ])
  if (event !== 'listening') return false
  server.close()
  await once(server, 'close')
  return true
}

/**
 * Resolves when a server says its first octets on the port; rejects after a minute. @param opening
 * what the server wants to hear before.
 */
export async function portAnswers(
  port: number,
  address = '127.0.0.1',
  opening = '',
): Promise<void> {
  for (const endMs = Date.now() + 60_000; Date.now() < endMs; await sleep(50)) {
    if (await answers(port, address, opening)) return
  }
  throw new Error(`nobody answers on ${address}:${port}`)
}

function answers(port: number, address: string, opening: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, address, () => socket.write(opening))
    const end = (isThere: boolean) => {
      socket.destroy()
      resolve(isThere)
    }
    socket.once('data', () => end(true))
    socket.once('error', () => end(false))
    socket.once('close', () => end(false))
  })
}
