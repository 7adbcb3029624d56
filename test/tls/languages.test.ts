/**
 * Programs that are not Node's speak the frames: the example in Python, at the daemon and at the
 * wrapper process.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { TlsWrapper } from '../../src/tls/wrapper.ts'
import { describeWith, needsProgram, projectRoot } from '../support/needs.ts'
import { type ProgramEnd, runProgram } from '../support/programs.ts'
import { type Authority, makeAuthority } from './support/certificates.ts'
import { startPeer, type TlsPeer } from './support/peer.ts'
import {
  newFolder,
  type Running,
  type RunningDaemon,
  startDaemon,
  startWrap,
} from './support/processes.ts'

describeWith([needsProgram('python3')], 'the example in Python', () => {
  let authority: Authority
  let peer: TlsPeer
  let daemon: RunningDaemon
  let wrap: Running
  const folder = newFolder()
  const api = join(folder, 'api.sock')

  beforeAll(async () => {
    authority = makeAuthority()
    peer = await startPeer(authority.issue('localhost'))
    daemon = await startDaemon()
    wrap = await startWrap('--api', api, '--daemon', daemon.socket)
  })
  afterAll(async () => {
    await Promise.all([wrap.end(), daemon.end(), peer.close()])
    authority.remove()
    rmSync(folder, { recursive: true, force: true })
  })

  function python(socket: string, name: string, text: string): Promise<ProgramEnd> {
    const example = join(projectRoot, 'examples/tls-frames.py')
    const to = ['localhost', String(peer.port), authority.caFile]
    return runProgram('python3', [example, socket, ...to, name, text])
  }

  test('A1, A9: shares a session with a Node program, at the daemon and at the wrapper: one handshake', async () => {
    const wrapper = new TlsWrapper({ daemon: daemon.socket })
    const to = { host: 'localhost', port: peer.port, ca: authority.ca }
    const session = await wrapper.new({ shared: 'both', ...to })
    expect(await session.connect()).toMatchObject({ code: 'none' })
    for (const socket of [daemon.socket, api]) {
      expect(await python(socket, 'both', 'from python')).toEqual({
        status: 0,
        output: 'from python\n',
      })
    }
    await session.write('from node')
    expect(Buffer.from((await session.read(100)).data).toString()).toBe('from node')
    expect(peer.handshakes()).toBe(1)
    await wrapper.close()
  })

  test('A3: has a session of its own at the wrapper, and not at the daemon', async () => {
    const before = peer.handshakes()
    expect(await python(api, '-', 'alone')).toEqual({ status: 0, output: 'alone\n' })
    expect(peer.handshakes()).toBe(before + 1)
    const refused = await python(daemon.socket, '-', 'alone')
    expect(refused).toMatchObject({ status: 1, output: expect.stringMatching(/^refused: /) })
  })
})
