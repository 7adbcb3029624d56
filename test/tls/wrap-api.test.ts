/**
 * `tls wrap --api`: what its client may have unanswered is what it may have at the daemon, and its
 * own sessions are bounded.
 */
import { rmSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { tlsHandlesPerClientMax } from '../../src/base/limits.ts'
import { type Lease, newLeaseId } from '../../src/tls/api.ts'
import { DaemonStub } from '../../src/tls/daemon-stub.ts'
import {
  answerBit,
  callKinds,
  encodeFrame,
  FrameReader,
  frameFlags,
  helloMagic,
  wireVersion,
} from '../../src/tls/wire.ts'
import { ApiWrap } from '../../src/tls/wrap-api.ts'
import { newFolder } from './support/processes.ts'
import { sessionScene } from './support/session-scene.ts'

const scene = sessionScene()

/** A wrapper process's part, in this process. @returns its path. */
async function wrapBefore(daemon: string): Promise<string> {
  const folder = newFolder()
  scene.atEnd(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'api.sock')
  const wrap = await ApiWrap.start(path, daemon)
  scene.atEnd(() => wrap.stop())
  return path
}

async function stubAt(path: string): Promise<DaemonStub> {
  const stub = new DaemonStub(path)
  scene.atEnd(() => stub.close())
  return stub
}

test('A20: hundreds of conversations that are asked for at once are served one by one', async () => {
  const peer = await scene.peer('echo')
  const daemon = await scene.daemon()
  const stub = await stubAt(await wrapBefore(daemon.socket))
  const session = await stub.new(scene.optionsOf(peer.port, 'eager'))
  expect(await stub.connect(session)).toMatchObject({ code: 'none' })
  const conversations = Array.from({ length: 700 }, async (_, at) => {
    const id = newLeaseId()
    const lease: Lease = await stub.lease(session, { id, eager: true })
    const answer = stub.exchange(session, Buffer.from(`${at};`), 100, { lease: id })
    await lease.release()
    return Buffer.from((await answer).data).toString()
  })
  const answers = await Promise.all(conversations)
  expect(answers).toEqual(answers.map((_, at) => `${at};`))
  expect(peer.handshakes()).toBe(1)
})

test('unshared sessions of one client are bounded; another client has its own', async () => {
  const path = await wrapBefore('/nonexistent/tls.sock')
  const [one, other] = [await stubAt(path), await stubAt(path)]
  const options = scene.optionsOf(9, '')
  const make = async (stub: DaemonStub) => stub.new({ ...options, shared: false })
  const made = await Promise.all(Array.from({ length: tlsHandlesPerClientMax }, () => make(one)))
  expect(made.filter(({ fault }) => fault !== undefined)).toEqual([])
  expect((await make(one)).fault).toMatchObject({ code: 'refused' })
  expect((await make(other)).fault).toBeUndefined()
  const [first] = made
  if (first !== undefined) await one.free(first)
  expect((await make(one)).fault).toBeUndefined()
})

test('a quiet lease and its quiet end are not answered, even where there is no such lease', async () => {
  const daemon = await scene.daemon()
  for (const path of [daemon.socket, await wrapBefore(daemon.socket)]) {
    const socket = net.connect({ path })
    scene.atEnd(() => socket.destroy())
    const header = { flags: 0, priority: 0, code: 0, request: 0, lease: 0 }
    const hello = Buffer.from(`${helloMagic}${String.fromCharCode(wireVersion)}\0`)
    const handle = Buffer.concat([Uint8Array.of(1), Buffer.alloc(24, 7)])
    const told = { ...header, flags: frameFlags.quiet, lease: 5 }
    socket.write(encodeFrame({ ...header, kind: callKinds.hello }, hello))
    socket.write(encodeFrame({ ...told, kind: callKinds.lease, request: 2 }, handle))
    socket.write(encodeFrame({ ...told, kind: callKinds.release, request: 3 }, handle))
    socket.write(encodeFrame({ ...header, kind: callKinds.pending, request: 4 }, handle))
    const heard: string[] = []
    const reader = new FrameReader()
    await new Promise<void>((resolve) => {
      socket.on('data', (chunk: Buffer) => {
        reader.read(chunk, ({ kind, request }) => heard.push(`${kind & ~answerBit} ${request}`))
        if (heard.includes(`${callKinds.pending} 4`)) resolve()
      })
    })
    expect(heard).toEqual([`${callKinds.hello} 0`, `${callKinds.pending} 4`])
  }
})
