/**
 * What `activemx tls sessions` says against what really happened; and that nobody can make the
 * daemon say more than fits.
 */
import net from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { tlsAnswerBacklogOctetsMax, tlsStatisticsSessionsMax } from '../../src/base/limits.ts'
import { tlsCodes } from '../../src/tls/api.ts'
import type { DaemonStatistics } from '../../src/tls/daemon.ts'
import { DaemonStub } from '../../src/tls/daemon-stub.ts'
import { callKinds, encodeFrame, FrameReader, helloMagic, wireVersion } from '../../src/tls/wire.ts'
import { projectRoot } from '../support/needs.ts'
import { runProgram } from '../support/programs.ts'
import type { RunningDaemon } from './support/processes.ts'
import { sessionScene } from './support/session-scene.ts'

const scene = sessionScene()

async function figuresOf(daemon: RunningDaemon): Promise<DaemonStatistics> {
  const stub = new DaemonStub(daemon.socket)
  const figures = await stub.statistics()
  stub.close()
  if ('code' in figures) throw new Error(figures.message)
  return figures
}

test('octets, handshakes, leases, holders and queue are what they really were', async () => {
  const peer = await scene.peer('echo')
  const daemon = await scene.daemon('--queue', 'priority')
  const [one, two] = [scene.wrapper(daemon.socket), scene.wrapper(daemon.socket)]
  const first = await one.new(scene.optionsOf(peer.port, 'seen'))
  const second = await two.new(scene.optionsOf(peer.port, 'seen'))
  expect(await first.connect()).toMatchObject({ code: 'none' })
  await first.write('twelve octet')
  for (let left = 12; left > 0; ) left -= (await first.read(left)).data.length
  const lease = await first.lease()
  const waiting = second.lease()
  await expect.poll(() => figuresOf(daemon)).toMatchObject({ sessions: [{ waiting: 1 }] })
  const figures = await figuresOf(daemon)
  expect(figures).toMatchObject({ pid: daemon.pid, clients: 3, queue: { kind: 'priority' } })
  expect(figures.sessions).toEqual([
    {
      ...{ name: 'seen', userId: process.getuid?.(), target: `127.0.0.1:${peer.port}` },
      ...{ connections: 1, open: 1, holders: 2, leased: 1, waiting: 1, leases: 1 },
      ...{ handshakes: 1, octetsIn: 12, octetsOut: 12, idleMs: 0 },
      ...{ protocol: 'TLSv1.3', cipher: expect.stringMatching(/^TLS_/) },
    },
  ])
  await lease.release()
  await (await waiting).release()
  await two.close()
  await expect.poll(() => figuresOf(daemon)).toMatchObject({ clients: 2 })
  expect(await figuresOf(daemon)).toMatchObject({
    sessions: [{ holders: 1, leased: 0, waiting: 0, leases: 2, handshakes: 1 }],
  })
  expect(await first.shutdown()).toMatchObject({ code: 'none' })
  expect(await first.connect()).toMatchObject({ code: 'none' })
  expect(await figuresOf(daemon)).toMatchObject({ sessions: [{ open: 1, handshakes: 2 }] })
})

test('more sessions than one frame holds are all shown', async () => {
  const daemon = await scene.daemon('--target-sessions-max', '2000')
  const count = 2 * tlsStatisticsSessionsMax + 50
  const wrappers = [1, 2].map(() => scene.wrapper(daemon.socket))
  // As long as they may be: one answer with all of them would be no frame.
  const host = '\u0007'.repeat(255)
  const names = Array.from({ length: count }, (_, at) => `${at}-`.padEnd(255, '"'))
  const made = names.map((shared, at) => wrappers[at % 2]?.new({ shared, host, port: 9 }))
  expect((await Promise.all(made)).filter((one) => one?.fault !== undefined)).toEqual([])
  const figures = await figuresOf(daemon)
  expect(figures.sessions.map(({ name }) => name).sort()).toEqual(names.sort())
  const program = join(projectRoot, 'dist/src/cli/activemx.js')
  const words = ['tls', 'sessions', '--socket', daemon.socket, '--json']
  const shown = await runProgram(process.execPath, [program, ...words])
  expect(JSON.parse(shown.output).sessions.length).toBe(count)
})

test('a client that asks for figures and takes none is refused them: what waits is bounded', async () => {
  const daemon = await scene.daemon('--target-sessions-max', '2000')
  const wrapper = scene.wrapper(daemon.socket)
  const host = 'h'.repeat(255)
  for (let at = 0; at < tlsStatisticsSessionsMax; at++) {
    await wrapper.new({ shared: `${at}-`.padEnd(255, 'x'), host, port: 9 })
  }
  const socket = net.connect({ path: daemon.socket })
  scene.atEnd(() => socket.destroy())
  const header = { flags: 0, priority: 0, code: 0, request: 0, lease: 0 }
  const hello = Buffer.from(`${helloMagic}${String.fromCharCode(wireVersion)}\0`)
  const ask = encodeFrame({ ...header, kind: callKinds.stats }, new Uint8Array(0))
  const asked = 2000
  // In one piece: the daemon reads it whole before it could stop to read.
  const all = Buffer.concat(Array.from({ length: asked }, () => ask))
  socket.pause()
  socket.write(encodeFrame({ ...header, kind: callKinds.hello }, hello))
  socket.write(all)
  const reader = new FrameReader()
  let answers = 0
  let octets = 0
  let refused = 0
  await new Promise<void>((resolve) => {
    socket.on('data', (chunk: Buffer) => {
      octets += chunk.length
      reader.read(chunk, ({ code }) => {
        answers++
        if (code === tlsCodes.indexOf('refused')) refused++
      })
      if (answers === asked + 1) resolve()
    })
    setTimeout(() => socket.resume(), 200)
  })
  expect(refused).toBeGreaterThan(0)
  expect(octets).toBeLessThan(16 * tlsAnswerBacklogOctetsMax)
})
