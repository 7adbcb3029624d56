/**
 * A large message through the proxy without growing memory, at the pace of the slower side.
 *
 * The proxy runs as a program; its peak of resident memory is read from /proc, reset just before
 * the message where that is allowed (it has no core dumps, so by root). What JavaScript's heap and
 * the kernel's buffers may add is allowed for generously.
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { needsRoot } from '../support/needs.ts'
import { ProxyProgram } from '../support/proxy-program.ts'
import { SmtpClient } from '../support/smtp-client.ts'

const messageOctets = 50_000_000
const growthKilobytesMax = 40 * 1024
const line = Buffer.from(`${'x'.repeat(76)}\r\n`)
const piece = Buffer.concat(Array.from({ length: 3000 }, () => line))
const header = Buffer.from('Subject: large\r\n\r\n')

/** A mailhost that keeps nothing but a hash of the last message behind our Received field. */
interface HashingMailhost {
  readonly port: number
  /** Hashes of the messages taken. */
  readonly hashes: readonly string[]
  /** Waits so long before each read; 0 = none. */
  pauseMs: number
  stop(): void
}

let mailhost: HashingMailhost
let proxy: ProxyProgram

beforeEach(async () => {
  mailhost = await startHashingMailhost()
  proxy = await ProxyProgram.start(mailhost.port, { listen: 'workers = 1' })
})

afterEach(async () => {
  await proxy.end()
  mailhost.stop()
})

for (const { label, mailhostPauseMs, clientPauseMs } of [
  { label: 'a slow mailhost', mailhostPauseMs: 1, clientPauseMs: 0 },
  { label: 'a slow client', mailhostPauseMs: 0, clientPauseMs: 1 },
]) {
  test(`50 MB to ${label}: whole, and memory grows by less than 40 MB`, async () => {
    await send(1_000_000, 0)
    mailhost.pauseMs = mailhostPauseMs
    const before = resetPeak()
    const want = await send(messageOctets, clientPauseMs)
    expect(mailhost.hashes.at(-1)).toBe(want)
    expect(kilobytesOf('VmHWM') - before).toBeLessThan(growthKilobytesMax)
  })
}

/** Sends a message of about so many octets. @returns its hash. */
async function send(octets: number, pauseMs: number): Promise<string> {
  const client = await SmtpClient.open(proxy.port)
  const said = await client.saysAll(
    'EHLO client.example',
    'MAIL FROM:<a@x.example>',
    'RCPT TO:<b@example.test>',
    'DATA',
  )
  expect(said).toMatch(/^354/)
  const hash = createHash('sha256').update(header)
  client.send(header)
  for (let sent = header.length; sent + piece.length < octets; sent += piece.length) {
    hash.update(piece)
    if (!client.socket.write(piece)) await once(client.socket, 'drain')
    if (pauseMs > 0) await sleep(pauseMs)
  }
  client.send('.\r\n')
  expect(await client.reply()).toMatch(/^250/)
  client.leave()
  return hash.digest('hex')
}

/** Begins the peak anew. @returns what it stands at, kilobytes. */
function resetPeak(): number {
  // Linux: 5 resets the peak of resident memory, VmHWM. Others than root go on from the old one.
  if (needsRoot() === undefined) writeFileSync(`/proc/${proxy.pid}/clear_refs`, '5')
  return kilobytesOf('VmHWM')
}

function kilobytesOf(name: string): number {
  const status = readFileSync(`/proc/${proxy.pid}/status`, 'utf8')
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1])
}

async function startHashingMailhost(): Promise<HashingMailhost> {
  const hashes: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy()).on('close', () => sockets.delete(socket))
    serveHashing(socket, hashes, () => mailhostState.pauseMs)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const mailhostState: HashingMailhost = {
    port: (server.address() as AddressInfo).port,
    hashes,
    pauseMs: 0,
    stop() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
  return mailhostState
}

/**
 * The header of a message is small and comes in one read here: what is behind Received is hashed.
 */
function serveHashing(socket: Socket, hashes: string[], pauseMs: () => number): void {
  let pending = Buffer.alloc(0)
  let hash: ReturnType<typeof createHash> | undefined
  let isBehindReceived = false
  const takeBody = (): boolean => {
    if (hash === undefined) return false
    if (!isBehindReceived) {
      const at = pending.indexOf('Subject:')
      if (at < 0) return false
      pending = pending.subarray(at)
      isBehindReceived = true
    }
    const end = pending.indexOf('\r\n.\r\n')
    const settled = end < 0 ? Math.max(0, pending.length - 4) : end + 2
    hash.update(pending.subarray(0, settled))
    pending = pending.subarray(end < 0 ? settled : end + 5)
    if (end < 0) return false
    hashes.push(hash.digest('hex'))
    hash = undefined
    isBehindReceived = false
    socket.write('250 2.0.0 Taken\r\n')
    return true
  }
  const takeLine = (): boolean => {
    const end = pending.indexOf('\r\n')
    if (end < 0) return false
    const verb = pending.toString('latin1', 0, 4).toUpperCase()
    pending = pending.subarray(end + 2)
    if (verb === 'DATA') hash = createHash('sha256')
    if (verb === 'EHLO') socket.write('250-hashing.example\r\n250 PIPELINING\r\n')
    else socket.write(verb === 'DATA' ? '354 Go on\r\n' : '250 2.0.0 Ok\r\n')
    return true
  }
  socket.on('data', (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk])
    while (hash === undefined ? takeLine() : takeBody());
    if (pauseMs() === 0) return
    socket.pause()
    setTimeout(() => socket.resume(), pauseMs())
  })
  socket.write('220 hashing.example ESMTP\r\n')
}
