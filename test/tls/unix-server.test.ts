/**
 * The socket of the daemon and of `tls wrap --api`: what it takes the place of, and what does not
 * end it.
 */
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
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

test('a file that is no socket is left alone, and told', async () => {
  const path = join(folder, 'notes.txt')
  writeFileSync(path, 'mine')
  await expect(listenForClients(path, () => undefined)).rejects.toMatchObject({
    code: 'TLS_SOCKET',
    message: expect.stringContaining('no socket'),
  })
  expect(readFileSync(path, 'utf8')).toBe('mine')
})

test('of two that start at the path of a dead one at the same instant, one serves', async () => {
  const path = join(folder, 'twice.sock')
  const dead = net.createServer()
  await new Promise<void>((resolve) => dead.listen(`${path}.dead`, resolve))
  renameSync(`${path}.dead`, path)
  await closed(dead)
  const start = (name: string) =>
    listenForClients(path, (socket) => socket.end(name, () => socket.destroy()))
  const [one, other] = await Promise.allSettled([start('one'), start('other')])
  expect([one.status, other.status]).toEqual(['fulfilled', 'rejected'])
  expect(other).toMatchObject({ reason: { code: 'TLS_SOCKET_IN_USE' } })
  expect(await wordOf(path)).toBe('one')
  if (one.status === 'fulfilled') await closed(one.value)
  const next = await start('next')
  expect(await wordOf(path)).toBe('next')
  await closed(next)
})

test('clients that cannot be taken, for lack of descriptors, end nothing', async () => {
  const path = join(folder, 'tls.sock')
  const server = await listenForClients(path, (socket) => {
    socket.end('here', () => socket.destroy())
  })
  for (let time = 0; time < 3; time++) server.emit('error', new Error('accept EMFILE'))
  expect(await wordOf(path)).toBe('here')
  await closed(server)
})
