/**
 * A feed whose server accepts and says nothing. In a file of its own, since it shortens the wait.
 */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test, vi } from 'vitest'
import { Feeds } from '../../src/feeds/feeds.ts'

vi.mock('../../src/base/limits.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../src/base/limits.ts')>()
  return { ...original, feedWaitMs: 1_000 }
})

test('it is given up in its time, also where garbage was collected meanwhile', async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const folder = mkdtempSync(join(tmpdir(), 'activemx-hanging-'))
  const server = createServer(() => {}).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/drop.txt`
  const feeds = new Feeds(folder, { allowPlainLoopback: true })
  const asked = once(server, 'request')
  const reports = feeds.refresh([{ url, everyMs: 1_000 }])
  await asked
  await nextTurn()
  collect()
  expect(await reports).toEqual([
    { url, outcome: 'failed', fault: expect.stringContaining('not fetched: no whole answer') },
  ])
  expect(feeds.isFetching).toBe(false)
  server.closeAllConnections()
  server.close()
  rmSync(folder, { recursive: true, force: true })
})
