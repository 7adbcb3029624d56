/**
 * A restart that serves from the snapshot: the lists are loaded behind it, and nobody is let in
 * before there are threads to serve.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { formatIpv4 } from '../../src/base/ip-address.ts'
import { openSystemLog } from '../../src/log/system-log.ts'
import { serve } from '../../src/main.ts'
import { describeWith, needsAddon } from '../support/needs.ts'
import { freePort } from '../support/ports.ts'
import { testConfig } from '../support/running-proxy.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'activemx-restart-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/**
 * A mailhost that takes its time to greet, so that the lists are loaded before the threads are
 * ready.
 */
async function startLateMailhost(): Promise<{ port: number; stop(): void }> {
  const port = await freePort()
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy())
    socket.on('data', () => socket.write('250 late.example\r\n'))
    setTimeout(() => socket.write('220 late.example ESMTP\r\n'), 1000)
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return { port, stop: () => server.close() }
}

describeWith([needsAddon()], 'a restart from the snapshot', () => {
  test('the gate opens when the service is ready, however early the lists are', async () => {
    const mailhost = await startLateMailhost()
    const list = join(folder, 'black.txt')
    const hosts = Array.from({ length: 70_000 }, (_, at) => formatIpv4(0x3e00_0001 + at * 2))
    writeFileSync(list, hosts.join('\n'))
    const port = await freePort()
    const changes = {
      listen: { smtp: [`127.0.0.1:${port}`] },
      lists: { blacklist: [{ name: 'black', file: list }] },
    }
    let isStarted = false
    const run = async (whileStarting: () => Promise<void>) => {
      const config = testConfig([mailhost.port], changes, folder)
      const log = await openSystemLog(config)
      isStarted = false
      const starting = serve(config, log).finally(() => {
        isStarted = true
      })
      while (!isStarted) await whileStarting()
      const proxy = await starting
      const stamp = join(folder, 'store/lists/table-blacklist.stamp')
      await expect.poll(() => existsSync(stamp), { timeout: 60_000 }).toBe(true)
      await proxy.stop()
      await log.close()
    }
    await run(() => sleep(50))
    // The gate gets its policy and the start ends in one turn of the loop: no answer comes between.
    const early: string[] = []
    let dialled = 0
    await run(async () => {
      dialled += 1
      const client = connect(port, '127.0.0.1')
      client.on('error', () => client.destroy())
      client.once('data', (heard: Buffer) => {
        if (!isStarted) early.push(String(heard))
        client.destroy()
      })
      await sleep(50)
    })
    mailhost.stop()
    expect(dialled).toBeGreaterThan(0)
    expect(early).toEqual([])
  }, 120_000)
})
