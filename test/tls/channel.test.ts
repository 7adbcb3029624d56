/**
 * The end of an application's connection to the daemon: no call is left without its own.
 */
import { rmSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { DaemonChannel, plain } from '../../src/tls/channel.ts'
import { Lane } from '../../src/tls/credit.ts'
import {
  answerBit,
  callKinds,
  encodeFrame,
  FrameReader,
  frameFlags,
  handleOctets,
  wireVersion,
  writeU32,
} from '../../src/tls/wire.ts'
import { newFolder } from './support/processes.ts'
import { sessionScene } from './support/session-scene.ts'

const scene = sessionScene()

interface Heard {
  readonly kind: number
  readonly flags: number
}

/** A daemon that gives credit for two calls and answers nothing but hello. */
async function channelOfTwoCalls() {
  const folder = newFolder()
  scene.atEnd(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'tls.sock')
  const heard: Heard[] = []
  let onLeft = (): void => undefined
  const left = new Promise<void>((resolve) => {
    onLeft = resolve
  })
  const hello = new Uint8Array(18)
  hello[0] = wireVersion
  writeU32(hello, 10, 1_000_000)
  writeU32(hello, 14, 2)
  const header = { flags: 0, priority: 0, code: 0, request: 0, lease: 0 }
  const server = net.createServer((socket) => {
    const reader = new FrameReader()
    socket.on('error', () => undefined)
    socket.on('data', (chunk: Buffer) => {
      reader.read(chunk, ({ kind, flags }) => {
        heard.push({ kind, flags })
        if (kind === callKinds.hello) {
          socket.write(encodeFrame({ ...header, kind: kind | answerBit }, hello))
        }
      })
    })
    socket.on('close', onLeft)
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  scene.atEnd(() => server.close())
  const opening = { signal: new AbortController().signal, onSilent: () => undefined }
  const channel = await DaemonChannel.open(path, opening)
  if (!(channel instanceof DaemonChannel)) throw new Error(channel.message)
  return { channel, heard, left }
}

test('the end of a lease that waits for credit is still said when the channel closes, and ends', async () => {
  const { channel, heard, left } = await channelOfTwoCalls()
  const call = { ...plain, head: new Uint8Array(handleOctets), lease: 1, lane: new Lane() }
  const writing = channel.call({ ...call, kind: callKinds.write, data: Buffer.from('x') })
  const releasing = channel.call({ ...call, kind: callKinds.release })
  channel.close()
  const ends = await Promise.all([writing, releasing])
  expect(ends.map(({ outcome }) => outcome.code)).toEqual(['daemonGone', 'daemonGone'])
  await left
  expect(heard.slice(1)).toEqual([
    { kind: callKinds.write, flags: 0 },
    { kind: callKinds.release, flags: frameFlags.quiet },
  ])
})
