/**
 * Ports of the tests: a free one, and waiting until somebody answers on it.
 */
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** A port of 127.0.0.1 that is free now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (typeof address !== 'object' || address === null) throw new Error('no port')
  return address.port
}

/** Resolves when a server says its first octets on the port; rejects after a minute. */
export async function portAnswers(port: number, address = '127.0.0.1'): Promise<void> {
  for (const endMs = Date.now() + 60_000; Date.now() < endMs; await sleep(50)) {
    if (await answers(port, address)) return
  }
  throw new Error(`nobody answers on ${address}:${port}`)
}

function answers(port: number, address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, address)
    const end = (isThere: boolean) => {
      socket.destroy()
      resolve(isThere)
    }
    socket.once('data', () => end(true))
    socket.once('error', () => end(false))
    socket.once('close', () => end(false))
  })
}
