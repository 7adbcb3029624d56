/**
 * The whole way with a real Postfix as mailhost and real clients. Show 2 of the main job.
 */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { describeWith, needsProgram, needsRoot } from '../support/needs.ts'
import { type Postfix, startPostfix } from '../support/postfix.ts'
import { swaks } from '../support/programs.ts'
import { startProxy, type TestProxy } from '../support/running-proxy.ts'

describeWith([needsProgram('postfix', 'swaks'), needsRoot()], 'Postfix as mailhost', () => {
  let postfix: Postfix
  let proxy: TestProxy

  beforeEach(async () => {
    postfix = await startPostfix()
    proxy = await startProxy([postfix.port])
  })

  afterEach(async () => {
    await proxy.end()
    postfix.remove()
  })

  test('a message of swaks arrives, and the log has its verdict', async () => {
    const sent = await swaks(proxy.port, '--to', 'b@example.test', '--body', 'hello there')
    expect(sent.output).toContain('250 2.0.0 Ok: queued as')
    await expect.poll(() => postfix.messages().length, { timeout: 20_000 }).toBe(1)
    expect(postfix.messages()[0]).toContain('hello there')
    const verdict = { layer: 'transfer', action: 'pass', recipients: ['b@example.test'] }
    await expect.poll(() => proxy.verdicts()).toMatchObject([verdict])
  })
})
