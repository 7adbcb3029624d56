/**
 * The try-out that `npm start` begins. Show 1 of the main job.
 */
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runCommandLine } from '../../src/cli/run.ts'
import { listedAddress, startTryOut } from '../../src/cli/try-out.ts'
import { SmtpClient } from '../support/smtp-client.ts'

test('the try-out delivers into var/mail/, refuses a recipient that is not ours and a listed address, and can be asked', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'activemx-try-'))
  const printed: string[] = []
  const terminal = { print: (line: string) => void printed.push(line), warn: () => {} }
  const tryOut = await startTryOut(terminal, folder, { port: 0 })
  try {
    expect(printed.join('\n')).toContain(`swaks --server 127.0.0.1:${tryOut.port}`)
    const client = await SmtpClient.open(tryOut.port)
    await client.saysAll('EHLO me.example', 'MAIL FROM:<you@sender.example>')
    expect(await client.says('RCPT TO:<me@elsewhere.example>')).toMatch(/^550 5\.7\.1/)
    const said = await client.saysAll(
      'RCPT TO:<me@example.test>',
      'DATA',
      'From: <you@sender.example>\r\nDate: Sat, 21 Nov 2026 12:00:00 +0000\r\n\r\nhello\r\n.',
    )
    expect(said).toMatch(/^250/)
    const [name = ''] = readdirSync(join(folder, 'var/mail/new'))
    expect(readFileSync(join(folder, 'var/mail/new', name), 'latin1')).toContain('\nhello\n')
    client.leave()
    const listed = new SmtpClient(
      connect({ host: '127.0.0.1', port: tryOut.port, localAddress: listedAddress }),
    )
    expect(await listed.reply()).toMatch(/^554 5\.7\.1 .*127\.0\.0\.66/)
    const asked: string[] = []
    const socket = join(folder, 'var/control.sock')
    const words = ['lookup', listedAddress, '--socket', socket]
    const ears = { print: (line: string) => void asked.push(line), warn: () => {} }
    expect(await runCommandLine(words, ears)).toBe(0)
    expect(asked[0]).toMatch(/^127\.0\.0\.66: refuse: listed in example/)
    expect(await runCommandLine(['reload', '--socket', socket], ears)).toBe(0)
  } finally {
    await tryOut.stop()
    rmSync(folder, { recursive: true, force: true })
  }
})

test('its port is taken: said, and nothing is left that would keep the process', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'activemx-try-'))
  const occupant = createServer().listen(0, '127.0.0.1')
  await once(occupant, 'listening')
  const { port } = occupant.address() as AddressInfo
  const servers = () =>
    process.getActiveResourcesInfo().filter((name) => /^(?:TCP|Pipe)ServerWrap$/.test(name))
  const before = servers()
  const terminal = { print: () => {}, warn: () => {} }
  await expect(startTryOut(terminal, folder, { port })).rejects.toThrow(`127.0.0.1:${port}`)
  expect(servers()).toEqual(before)
  occupant.close()
  rmSync(folder, { recursive: true, force: true })
})
