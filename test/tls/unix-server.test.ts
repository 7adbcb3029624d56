/**
 * The clients of the daemon and of `tls wrap --api`: what does not end the server.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { listenForClients } from '../../src/tls/unix-server.ts'

let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'activemx-socket-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const closed = (server: net.Server): Promise<unknown> =>
  new Promise((resolve) => server.close(resolve))

/** What a client is told. */
async function wordOf(path: string): Promise<string> {
  const client = net.connect({ path })
  const word = await new Promise<Buffer>((resolve) => client.once('data', resolve))
  client.destroy()
  return word.toString()
}

test('clients that cannot be taken, for lack of descriptors, end nothing', async () => {
  const path = join(folder, 'tls.sock')
  const server = await listenForClients(path, (socket) => {
    socket.end('here', () => socket.destroy())
  })
  for (let time = 0; time < 3; time++) server.emit('error', new Error('accept EMFILE'))
  expect(await wordOf(path)).toBe('here')
  await closed(server)
})
