import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openLocalDatagram } from '../../src/addon/local-datagram.ts'
import { isOwnUser, peerCredentials } from '../../src/addon/peer-credentials.ts'
import { describeWith, needsProgram } from '../support/needs.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'activemx-sockets-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe('peer credentials', () => {
  test('name process and user at the other end', async () => {
    const path = join(folder, 'a.sock')
    const server = createServer()
    server.listen(path)
    await once(server, 'listening')
    const client = connect(path)
    const [socket] = (await once(server, 'connection')) as [Socket]
    const credentials = peerCredentials(socket)
    expect(credentials).toEqual({
      pid: process.pid,
      uid: process.getuid?.(),
      gid: process.getgid?.(),
    })
    expect(isOwnUser(credentials)).toBe(true)
    socket.destroy()
    expect(peerCredentials(socket)).toBeUndefined()
    client.destroy()
    server.close()
  })

  test('root and the own user are admitted, others and the unknown are not', () => {
    const own = process.geteuid?.() ?? 0
    expect(isOwnUser({ pid: 1, uid: 0, gid: 0 })).toBe(true)
    expect(isOwnUser({ pid: 1, uid: own, gid: 0 })).toBe(true)
    expect(isOwnUser({ pid: 1, uid: own + 1, gid: 0 })).toBe(false)
    expect(isOwnUser(undefined)).toBe(false)
  })
})

describeWith([needsProgram('python3')], 'local datagrams', () => {
  const receiver = `
    import socket, sys
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.bind(sys.argv[1]); print("ready", flush=True)
    open(sys.argv[2], "wb").write(s.recv(65536))`

  test('arrive whole', async () => {
    const path = join(folder, 'log')
    const script = receiver.replaceAll(/^ {4}/gm, '')
    const python = spawn('python3', ['-c', script, path, join(folder, 'got')])
    await once(python.stdout, 'data')
    const datagram = openLocalDatagram(path)
    const exited = once(python, 'exit')
    expect(datagram.send(Buffer.from('<22>activemx: one\ttwo'))).toBe(0)
    await exited
    expect(readFileSync(join(folder, 'got'), 'latin1')).toBe('<22>activemx: one\ttwo')
    datagram.close()
    expect(datagram.send(Buffer.from('x'))).toBe(9)
  })

  test('a path that nobody listens on, or that is too long, is a fault with its name', () => {
    expect(() => openLocalDatagram(join(folder, 'none'))).toThrow(/none: No such file/)
    expect(() => openLocalDatagram(`/${'a'.repeat(200)}`)).toThrow(/too long/)
  })
})
