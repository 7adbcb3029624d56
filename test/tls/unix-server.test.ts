/**
 * The socket of the daemon and of `tls wrap --api`: what it takes the place of, and what does not
 * end it.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
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

test('a file that is no socket is left alone, and told', async () => {
  const path = join(folder, 'notes.txt')
  writeFileSync(path, 'mine')
  await expect(listenForClients(path, () => undefined)).rejects.toMatchObject({
    code: 'TLS_SOCKET',
    message: expect.stringContaining('no socket'),
  })
  expect(readFileSync(path, 'utf8')).toBe('mine')
})

test('clients that cannot be taken, for lack of descriptors, end nothing', async () => {
  const path = join(folder, 'tls.sock')
  const server = await listenForClients(path, (socket) => {
    socket.end('here', () => socket.destroy())
  })
  for (let time = 0; time < 3; time++) server.emit('error', new Error('accept EMFILE'))
  const client = net.connect({ path })
  const [word] = await new Promise<Buffer[]>((resolve) => {
    client.once('data', (chunk) => resolve([chunk]))
  })
  expect(String(word)).toBe('here')
  client.destroy()
  await closed(server)
})
