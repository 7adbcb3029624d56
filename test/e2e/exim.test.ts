/**
 * Debian's exim4 as the client and Postfix as the mailhost. Show 2 of the main job.
 */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Exim, needsExim, newExim } from '../support/exim.ts'
import { describeWith, needsProgram, needsRoot } from '../support/needs.ts'
import { type Postfix, startPostfix } from '../support/postfix.ts'
import { startProxy, type TestProxy } from '../support/running-proxy.ts'

const message = 'From: a@example.test\nSubject: of exim\n\nhello\n.dot at the line start\n'

describeWith([needsProgram('postfix'), needsRoot(), needsExim()], 'exim4 as client', () => {
  let postfix: Postfix
  let proxy: TestProxy
  let exim: Exim

  beforeEach(async () => {
    postfix = await startPostfix()
    proxy = await startProxy([postfix.port])
    exim = newExim(proxy.port)
  })

  afterEach(async () => {
    exim.remove()
    await proxy.end()
    postfix.remove()
  })

  test('B21: a message to two recipients arrives once each, and exim has Postfix’s 250', async () => {
    await exim.send('a@example.test', ['b@example.test', 'c@example.test'], message)
    expect(exim.log()).toMatch(/=> b@example\.test .*C="250 2\.0\.0 Ok: queued as \w+"/)
    expect(await exim.queued()).toBe(0)
    await expect.poll(() => postfix.messages().length, { timeout: 20_000 }).toBe(2)
    for (const filed of postfix.messages()) {
      expect(filed).toMatch(
        /\nReceived: from client\.example \(\[127\.0\.0\.1\]\)\n\tby mx\.example/,
      )
      expect(filed).toContain('\nhello\n.dot at the line start\n')
    }
    await expect
      .poll(() => proxy.verdicts())
      .toMatchObject([{ action: 'pass', helo: 'client.example' }])
  })

  test('B19: a refusal of Postfix is final for exim, whose bounce with <> is delivered', async () => {
    await exim.send('a@example.test', ['nobody@example.test'], message)
    expect(exim.log()).toMatch(/\*\* nobody@example\.test .*550 5\.1\.1 .*no such user/)
    expect(await exim.queued()).toBe(0)
    await expect.poll(() => postfix.messages().length, { timeout: 20_000 }).toBe(1)
    expect(postfix.messages()[0]).toMatch(/^Return-Path: <>$/m)
    await expect.poll(() => proxy.verdicts().map(({ sender }) => sender)).toContain('')
  })

  test('B20: a domain that is not ours is refused by us, for good', async () => {
    await exim.send('a@example.test', ['b@elsewhere.example'], message)
    expect(exim.log()).toMatch(/\*\* b@elsewhere\.example .*550 5\.7\.1 recipient: .*id=/)
  })

  test('a temporary refusal of Postfix, or Postfix away: exim keeps the message and tries again', async () => {
    await exim.send('a@example.test', ['later@example.test'], message)
    expect(exim.log()).toMatch(/== later@example\.test .*450 4\.2\.0 .*mailbox busy/)
    expect(await exim.queued()).toBe(1)
    postfix.stop()
    await exim.send('a@example.test', ['b@example.test'], message)
    expect(exim.log()).toMatch(/== b@example\.test .*451 4\.4\.1/)
    expect(await exim.queued()).toBe(2)
    await postfix.start()
    const queueAfterRun = async () => {
      await exim.runQueue()
      return exim.queued()
    }
    await expect.poll(queueAfterRun, { timeout: 30_000 }).toBe(1)
    expect(exim.log()).toMatch(/=> b@example\.test .*C="250 2\.0\.0 Ok/)
    await expect.poll(() => postfix.messages().length, { timeout: 20_000 }).toBe(1)
  })
})
