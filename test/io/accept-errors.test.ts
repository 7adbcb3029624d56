/**
 * A listener that could not accept a client, for want of a descriptor, listens on. Such an error
 * comes at any time after the start.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openControlServer } from '../../src/control/control-server.ts'
import { newServerGate } from '../../src/io/server-gate.ts'
import { startMailhost } from '../../src/mailhost/mailhost.ts'
import { ClientListener } from '../../src/tls/client-listener.ts'
import { listenForClients } from '../../src/tls/unix-server.ts'
import { RelayWrap } from '../../src/tls/wrap-relay.ts'
import { TlsWrapper } from '../../src/tls/wrapper.ts'
import { describeWith, needsAddon } from '../support/needs.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'activemx-accept-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** The listeners of this process. */
function servers(): readonly Server[] {
  const handles = Reflect.get(process, '_getActiveHandles') as () => readonly unknown[]
  return handles.call(process).filter((handle) => handle instanceof Server)
}

/** Opens a listener, fails an accept, and asks whether it still listens. */
async function failAccept(open: () => Promise<() => unknown>): Promise<void> {
  const before = new Set(servers())
  const close = await open()
  const [server, ...others] = servers().filter((one) => !before.has(one))
  expect(others).toEqual([])
  server?.emit('error', new Error('accept EMFILE'))
  expect(server?.listening).toBe(true)
  await close()
}

const at = { host: '127.0.0.1', port: 0 }

test('the control socket', () =>
  failAccept(async () => {
    const server = await openControlServer(join(folder, 'control.sock'), {})
    return () => server.close()
  }))

test('the gate without the addon', () =>
  failAccept(async () => {
    const gate = newServerGate({ tableOf: () => undefined })
    await gate.listen(['127.0.0.1:0'])
    return () => gate.close()
  }))

test('the embedded mailhost', () =>
  failAccept(async () => {
    const address = '127.0.0.1'
    const mailhost = await startMailhost({ address, port: 0, folder, sizeOctetsMax: 1 })
    return () => mailhost.stop()
  }))

test('tls wrap --listen', () =>
  failAccept(async () => {
    const wrapper = new TlsWrapper({ daemon: join(folder, 'none.sock') })
    const relay = await RelayWrap.start(wrapper, { listen: at, session: { shared: false, ...at } })
    return async () => {
      await relay.stop()
      await wrapper.close()
    }
  }))

test('the endpoint of accept', () =>
  failAccept(async () => {
    const listener = await ClientListener.open({ shared: false, listen: at })
    return () => listener.close()
  }))

describeWith([needsAddon()], 'of one user', () => {
  test('the TLS daemon, and tls wrap --api', () =>
    failAccept(async () => {
      const server = await listenForClients(join(folder, 'tls.sock'), () => {})
      return () => server.close()
    }))
})
