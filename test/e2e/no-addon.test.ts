/**
 * The program where no addon loads: the twins carry mail, and commands reach it all the same.
 */
import { chmodSync, existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type BareBuild, bareBuild } from '../support/bare-build.ts'
import { runProgram } from '../support/programs.ts'
import { ProxyProgram, program } from '../support/proxy-program.ts'
import { type RecordingMailhost, startRecordingMailhost } from '../support/recording-mailhost.ts'
import { SmtpClient } from '../support/smtp-client.ts'

let build: BareBuild
let mailhost: RecordingMailhost
let proxy: ProxyProgram

beforeAll(async () => {
  build = bareBuild()
  mailhost = await startRecordingMailhost()
  const more = { lists: 'allow_loopback = true' }
  const change = (text: string) => `${text}[[lists.blacklist]]\nfile = "black.txt"\n`
  const prepare = (folder: string) => writeFileSync(join(folder, 'black.txt'), '127.0.0.9\n')
  proxy = await ProxyProgram.start(mailhost.port, more, change, 0, prepare, build.program)
}, 60_000)

afterAll(async () => {
  await proxy.end()
  await mailhost.stop()
  build.remove()
})

const ask = (...words: readonly string[]) => {
  const socket = ['--socket', join(proxy.folder, 'control.sock')]
  return runProgram(process.execPath, [program, ...words, ...socket])
}

test('a message arrives, a listed client is refused, SIGHUP takes a changed list', async () => {
  const client = await SmtpClient.open(proxy.port)
  await client.saysAll('EHLO c.example', 'MAIL FROM:<a@x.example>', 'RCPT TO:<b@example.test>')
  expect(await client.saysAll('DATA', 'Subject: x\r\n\r\nx\r\n.')).toMatch(/^250/)
  client.leave()
  expect(mailhost.messages).toHaveLength(1)
  const heard = async (from: string) => {
    const one = await SmtpClient.open(proxy.port, from)
    one.leave()
    return one.heard.slice(0, 3)
  }
  expect([await heard('127.0.0.9'), await heard('127.0.0.8')]).toEqual(['554', '220'])
  writeFileSync(join(proxy.folder, 'black.txt'), '127.0.0.8\n')
  proxy.signal('SIGHUP')
  await expect.poll(() => heard('127.0.0.8'), { timeout: 30_000 }).toBe('554')
  expect(await heard('127.0.0.9')).toBe('220')
})

test('the control socket answers while its mode keeps others out, nobody when it is loosened', async () => {
  expect(await ask('status')).toMatchObject({ status: 0 })
  expect(await ask('reload')).toMatchObject({ status: 0 })
  chmodSync(join(proxy.folder, 'control.sock'), 0o666)
  const refused = { status: 2, output: 'activemx: only root and the own user may ask\n' }
  expect(await ask('status')).toEqual(refused)
})

test.each([{ words: ['daemon', '--socket'] }, { words: ['wrap', '--api'] }])(
  'tls $words.0 does not start: who asks could not be told',
  async ({ words }) => {
    const path = join(proxy.folder, 'tls.sock')
    const end = await runProgram(process.execPath, [build.program, 'tls', ...words, path])
    expect(end.status).not.toBe(0)
    const fault = /^activemx: the addon did not load .*: without it nobody's user is known; .*$/m
    expect(end.output).toMatch(fault)
    expect(existsSync(path)).toBe(false)
  },
)

test('SIGTERM ends it in order', async () => {
  proxy.signal('SIGTERM')
  expect(await proxy.ended()).toBe(0)
})
