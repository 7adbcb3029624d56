/**
 * TCP_NODELAY on both sides, read from the running program's own sockets: a reply or a command of
 * some octets never waits for the acknowledgement of the one before it.
 */
import { describe, expect, test } from 'vitest'
import { type BareBuild, bareBuild } from '../support/bare-build.ts'
import { ProxyProgram, program } from '../support/proxy-program.ts'
import { startRecordingMailhost } from '../support/recording-mailhost.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { needsBorrowing, socketOptionsOf } from '../support/socket-options.ts'

const reason = await needsBorrowing()
// Not a program that could be installed: a container may forbid it, also where nothing is skipped.
const describeHere = reason === undefined ? describe : describe.skip
describeHere(`TCP_NODELAY${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  async function expectNoDelay(commandLine: string): Promise<void> {
    const mailhost = await startRecordingMailhost()
    const proxy = await ProxyProgram.start(mailhost.port, {}, undefined, 0, undefined, commandLine)
    try {
      const client = await SmtpClient.open(proxy.port)
      const said = ['EHLO c.example', 'MAIL FROM:<a@x.example>', 'RCPT TO:<b@example.test>']
      expect(await client.saysAll(...said)).toMatch(/^250/)
      const sockets = await socketOptionsOf(proxy.pid)
      const toClient = sockets.filter(({ localPort }) => localPort === proxy.port)
      const toMailhost = sockets.filter(({ peerPort }) => peerPort === mailhost.port)
      expect(toClient.map(({ isNoDelay }) => isNoDelay)).toEqual([true])
      expect(new Set(toMailhost.map(({ isNoDelay }) => isNoDelay))).toEqual(new Set([true]))
      client.leave()
    } finally {
      await proxy.end()
      await mailhost.stop()
    }
  }

  test('to the client and to the mailhost', () => expectNoDelay(program), 60_000)

  test('the same without the addon', async () => {
    const build: BareBuild = bareBuild()
    await expectNoDelay(build.program).finally(() => build.remove())
  }, 60_000)
})
