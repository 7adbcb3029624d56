/**
 * A TLS peer in the test's own process: counts handshakes, keeps what it received, answers as told.
 */
import net from 'node:net'
import tls from 'node:tls'
import type { Identity } from './certificates.ts'

export interface TlsPeer {
  readonly port: number
  /** Handshakes completed. */
  readonly handshakes: () => number
  readonly sockets: readonly tls.TLSSocket[]
  /** All that came on all connections, in order of arrival. */
  readonly received: () => Buffer
  /** Resolves when at least so many octets have come. */
  receives(octets: number): Promise<void>
  /** Resolves with connection number `index`. */
  connection(index: number): Promise<tls.TLSSocket>
  /** Resolves when the other side has ended connection number `index`, also if that was before. */
  ended(index: number): Promise<void>
  close(): Promise<void>
}

/** `count`: echoes and keeps nothing of what came. */
export type PeerBehaviour = 'echo' | 'silent' | 'count'

export async function startPeer(
  identity: Identity,
  behaviour: PeerBehaviour = 'echo',
  options: tls.TlsOptions = {},
): Promise<TlsPeer> {
  const sockets: tls.TLSSocket[] = []
  const chunks: Buffer[] = []
  const watchers = new Set<() => void>()
  const notify = (): void => {
    for (const watcher of [...watchers]) watcher()
  }
  const server = tls.createServer({ cert: identity.certificate, key: identity.key, ...options })
  server.on('secureConnection', (socket) => {
    sockets.push(socket)
    socket.on('error', () => socket.destroy())
    socket.on('data', (chunk: Buffer) => {
      if (behaviour !== 'count') chunks.push(chunk)
      if (behaviour !== 'silent') socket.write(chunk)
      notify()
    })
    socket.on('end', notify)
    notify()
  })
  server.on('tlsClientError', () => undefined)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const until = (isDone: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      const watcher = (): void => {
        if (!isDone()) return
        watchers.delete(watcher)
        resolve()
      }
      watchers.add(watcher)
      watcher()
    })
  return {
    port: (server.address() as net.AddressInfo).port,
    handshakes: () => sockets.length,
    sockets,
    received: () => Buffer.concat(chunks),
    receives: (octets) =>
      until(() => chunks.reduce((sum, chunk) => sum + chunk.length, 0) >= octets),
    async connection(index) {
      await until(() => sockets.length > index)
      const socket = sockets[index]
      if (socket === undefined) throw new Error(`no connection ${index}`)
      return socket
    },
    ended: (index) => until(() => sockets[index]?.readableEnded === true),
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resolve())
      }),
  }
}

/** A TCP relay before a peer, that can break what it carries. */
export interface Cable {
  readonly port: number
  /** All octets that went from the client to the peer, as on the wire. */
  readonly toPeer: () => Buffer
  /** Resets both sides. */
  reset(): void
  /** Sends the client octets that are no TLS record. */
  garble(): void
  close(): Promise<void>
}

/** Lays a cable to a port of this machine. */
export async function layCable(port: number): Promise<Cable> {
  const pairs: (readonly [net.Socket, net.Socket])[] = []
  const seen: Buffer[] = []
  const server = net.createServer((client) => {
    const peer = net.connect({ port, host: '127.0.0.1' })
    pairs.push([client, peer])
    client.on('data', (chunk: Buffer) => seen.push(chunk))
    client.pipe(peer)
    peer.pipe(client)
    for (const socket of [client, peer]) socket.on('error', () => socket.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as net.AddressInfo).port,
    toPeer: () => Buffer.concat(seen),
    reset: () => pairs.flat().forEach((socket) => void socket.resetAndDestroy()),
    garble: () => pairs.forEach(([client]) => void client.write('this is no record at all')),
    close: () =>
      new Promise((resolve) => {
        for (const socket of pairs.flat()) socket.destroy()
        server.close(() => resolve())
      }),
  }
}
