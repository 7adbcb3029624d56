/**
 * Who may not ask: told so, and gone.
 */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { controlConnectionsMax, controlDeniedMax } from '../../src/base/limits.ts'
import { askInstance } from '../../src/control/control-client.ts'
import { type ControlServer, openControlServer } from '../../src/control/control-server.ts'

const peer = vi.hoisted(() => ({ isOurs: true }))
vi.mock('../../src/addon/peer-credentials.ts', () => ({
  peerCredentials: () => undefined,
  isOwnUser: () => peer.isOurs,
}))

let folder = ''
let server: ControlServer
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'activemx-control-'))
  server = await openControlServer(join(folder, 'a.sock'), { status: () => 'fine' })
})
afterEach(async () => {
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

test('other users are told so and hold no place, whatever they had asked', async () => {
  peer.isOurs = false
  for (let n = 0; n < controlConnectionsMax; n++) {
    const socket = connect(server.path)
    let said = ''
    socket.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    socket.write('{"command":"status"}\n')
    await once(socket, 'close')
    expect(said).toMatch(/^\{"kind":"fault","code":"CONTROL_DENIED".*\n$/)
  }
  peer.isOurs = true
  const asking = { socket: server.path, command: 'status' }
  await vi.waitFor(async () => expect(await askInstance(asking)).toBe('fine'))
})

test('other users who stay for all that take no place of those who may ask, and go by themselves', async () => {
  peer.isOurs = false
  const staying: Socket[] = []
  const whatIsSaid = async (): Promise<string> => {
    const socket = connect({ path: server.path, allowHalfOpen: true })
    staying.push(socket.on('error', () => undefined))
    let said = ''
    socket.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    await Promise.race([once(socket, 'end'), once(socket, 'close')])
    return said
  }
  for (let n = 0; n < controlDeniedMax; n++) expect(await whatIsSaid()).toContain('CONTROL_DENIED')
  expect(await whatIsSaid()).toBe('')
  peer.isOurs = true
  expect(await askInstance({ socket: server.path, command: 'status' })).toBe('fine')
  peer.isOurs = false
  await vi.waitFor(async () => expect(await whatIsSaid()).toContain('CONTROL_DENIED'), 10_000)
  for (const socket of staying) socket.destroy()
})
