/**
 * A proxy inside another program, and the try-out: how they end when they cannot go on.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { threadDeathsMax } from '../../src/base/limits.ts'
import { startTryOut } from '../../src/cli/try-out.ts'
import { createProxy, embedProxy } from '../../src/create-proxy.ts'
import type { RunningProxy } from '../../src/edge/running-proxy.ts'
import { serve } from '../../src/main.ts'
import { portAnswers } from '../support/ports.ts'
import { type RecordingMailhost, startRecordingMailhost } from '../support/recording-mailhost.ts'

let mailhost: RecordingMailhost
let folder = ''
/** The instance inside, whose threads a test can end. */
let inside: RunningProxy | undefined

beforeEach(async () => {
  mailhost = await startRecordingMailhost()
  folder = mkdtempSync(join(tmpdir(), 'activemx-embedded-'))
})

afterEach(async () => {
  vi.useRealTimers()
  await mailhost.stop()
  rmSync(folder, { recursive: true, force: true })
})

const serveAndTell: typeof serve = async (...given) => {
  inside = await serve(...given)
  return inside
}

function settings() {
  return {
    name: 'mx.example.test',
    listen: { smtp: ['127.0.0.1:0'], workers: 1, per_address_max: 0, rate_max: '' },
    mailhost: { addresses: [`127.0.0.1:${mailhost.port}`] },
    recipients: { domains: ['example.test'] },
    log: { to: join(folder, 'log') },
    store: { path: join(folder, 'store') },
    process: { user: '' },
  }
}

/** Ends each thread that takes the place of the last, once more than the instance bears. */
async function endThreads(setClockByMs = 0): Promise<void> {
  for (let death = 0; death <= threadDeathsMax; death++) {
    await expect.poll(() => inside?.status().gate.workers, { timeout: 20_000 }).toBe(1)
    if (setClockByMs > 0) vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + setClockByMs })
    await inside?.endThread(0)
  }
}

test('createProxy: `ended` resolves after stop, which may be called twice', async () => {
  const proxy = await createProxy(settings())
  await portAnswers(Number(proxy.addresses[0]?.split(':').pop()))
  await Promise.all([proxy.stop(), proxy.stop(), proxy.ended])
})

test('createProxy: a proxy that cannot go on stops, and `ended` rejects with the fault', async () => {
  const proxy = await embedProxy(settings(), serveAndTell)
  const ended = proxy.ended.catch((fault: unknown) => fault)
  await endThreads()
  expect(await ended).toMatchObject({ code: 'THREADS_DIE' })
  await proxy.stop()
  const again = await createProxy({ ...settings(), listen: { smtp: [proxy.addresses[0]] } })
  expect(again.addresses).toEqual(proxy.addresses)
  await again.stop()
}, 120_000)

test('createProxy: threads that die one after another end it, wherever the wall clock is set', async () => {
  const proxy = await embedProxy(settings(), serveAndTell)
  const ended = proxy.ended.catch((fault: unknown) => fault)
  await endThreads(3_600_000)
  expect(await ended).toMatchObject({ code: 'THREADS_DIE' })
  await proxy.stop()
}, 120_000)

test('createProxy: settings that are wrong are a rejection that names each', async () => {
  const wrong = { ...settings(), recipients: { domain: [] }, body: { stray: 'what' } }
  await expect(createProxy(wrong)).rejects.toMatchObject({
    code: 'CONFIGURATION',
    message: expect.stringMatching(/recipients\.domain[\s\S]*body\.stray/),
  })
})

test('the try-out that cannot go on says so', async () => {
  const terminal = { print: () => {}, warn: () => {} }
  const tryOut = await startTryOut(terminal, folder, { port: 0, serve: serveAndTell })
  await endThreads()
  expect(await tryOut.failed).toMatchObject({ code: 'THREADS_DIE' })
  await tryOut.stop()
}, 120_000)
