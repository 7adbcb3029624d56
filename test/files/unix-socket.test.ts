/**
 * A path for a Unix socket: what is replaced, what is left alone, and who of two gets it.
 */
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { OperatingError } from '../../src/base/errors.ts'
import { listenAt } from '../../src/files/unix-socket.ts'
import { describeWith, needsRoot } from '../support/needs.ts'

let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'activemx-socket-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const closed = (server: net.Server): Promise<unknown> =>
  new Promise((resolve) => server.close(resolve))

const placeOf = (path: string) =>
  ({ path, called: 'x.socket =', code: 'X_SOCKET', folderMode: 0o750 }) as const

/** A server that says its name. */
async function start(path: string, name: string): Promise<net.Server> {
  const server = net.createServer((socket) => socket.end(name, () => socket.destroy()))
  await listenAt(server, placeOf(path))
  return server
}

/** What a client is told. */
async function wordOf(path: string): Promise<string> {
  const client = net.connect({ path })
  const word = await new Promise<Buffer>((resolve) => client.once('data', resolve))
  client.destroy()
  return word.toString()
}

/** A socket whose process is gone. */
async function leaveDead(path: string): Promise<void> {
  const dead = net.createServer()
  await new Promise<void>((resolve) => dead.listen(`${path}.dead`, resolve))
  renameSync(`${path}.dead`, path)
  await closed(dead)
}

test('socket and folder have their modes, and what else is made keeps the mask', async () => {
  const path = join(folder, 'new', 'a.sock')
  const starting = start(path, 'a')
  expect(process.umask()).not.toBe(0o177)
  const server = await starting
  expect(statSync(path).mode & 0o777).toBe(0o600)
  expect(statSync(join(folder, 'new')).mode & 0o777).toBe(0o750)
  await closed(server)
  expect(existsSync(path)).toBe(false)
})

test('a file that is no socket is left alone, and told', async () => {
  const path = join(folder, 'notes.txt')
  writeFileSync(path, 'mine')
  const text = `x.socket = ${path}: is no socket; remove it or name another path`
  await expect(start(path, 'a')).rejects.toThrow(new OperatingError('X_SOCKET', text))
  expect(readFileSync(path, 'utf8')).toBe('mine')
})

test('a folder that cannot be made is told with the path', async () => {
  writeFileSync(join(folder, 'file'), '')
  const path = join(folder, 'file', 'a.sock')
  await expect(start(path, 'a')).rejects.toMatchObject({
    code: 'X_SOCKET',
    message: expect.stringMatching(/^x\.socket = .*a\.sock: .*; name a path in a writable folder$/),
  })
})

test('a server that lives keeps its socket', async () => {
  const path = join(folder, 'living.sock')
  const living = await start(path, 'living')
  await expect(start(path, 'next')).rejects.toThrow(/another process listens there; stop it or/)
  expect(await wordOf(path)).toBe('living')
  await closed(living)
})

describeWith([needsRoot()], 'a user who is not root', () => {
  const nobody = 65_534

  test("another user's socket is left alone, and told as such", async () => {
    const own = join(folder, 'own')
    mkdirSync(own, { mode: 0o700 })
    const path = join(own, 'root.sock')
    await leaveDead(path)
    chmodSync(path, 0o600)
    chmodSync(folder, 0o755)
    chownSync(own, nobody, nobody)
    process.seteuid?.(nobody)
    try {
      await expect(start(path, 'a')).rejects.toThrow(/is another user's socket; remove it or name/)
    } finally {
      process.seteuid?.(0)
    }
    expect(existsSync(path)).toBe(true)
  })
})

test('of two that start at the path of a dead one at the same instant, one serves', async () => {
  const path = join(folder, 'twice.sock')
  await leaveDead(path)
  const [one, other] = await Promise.allSettled([start(path, 'one'), start(path, 'other')])
  expect([one.status, other.status]).toEqual(['fulfilled', 'rejected'])
  expect(other).toMatchObject({ reason: { code: 'X_SOCKET' } })
  expect(await wordOf(path)).toBe('one')
  if (one.status === 'fulfilled') await closed(one.value)
  const next = await start(path, 'next')
  expect(await wordOf(path)).toBe('next')
  await closed(next)
})

test('clients that cannot be taken, for lack of descriptors, end nothing', async () => {
  const path = join(folder, 'full.sock')
  const server = await start(path, 'here')
  for (let time = 0; time < 3; time++) server.emit('error', new Error('accept EMFILE'))
  expect(await wordOf(path)).toBe('here')
  await closed(server)
})
