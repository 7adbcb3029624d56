/**
 * Serving threads live and die: a dead one takes its own connections and no others, and is
 * replaced; stopping finishes what runs; a reload drops nobody.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, describe, expect, test } from 'vitest'
import { threadDeathsMax } from '../../src/base/limits.ts'
import { describeWith, needsAddon, projectRoot } from '../support/needs.ts'
import { freePort, portAnswers } from '../support/ports.ts'
import { proxyScene } from '../support/proxy-scene.ts'
import type { RecordingMailhost } from '../support/recording-mailhost.ts'
import { testConfig } from '../support/running-proxy.ts'
import { SmtpClient } from '../support/smtp-client.ts'

const message = 'Subject: x\r\n\r\nbody\r\n.'

const scene = proxyScene()
let mailhost: RecordingMailhost

beforeEach(async () => {
  mailhost = await scene.mailhost()
})

/** MAIL, RCPT, DATA up to the 354. */
async function inData(port: number): Promise<SmtpClient> {
  const client = await SmtpClient.open(port)
  const said = await client.saysAll(
    'EHLO client.example',
    'MAIL FROM:<a@x.example>',
    'RCPT TO:<b@example.test>',
    'DATA',
  )
  expect(said).toMatch(/^354/)
  return client
}

describeWith([needsAddon()], 'serving threads', () => {
  test('a dead thread takes its own connections, no others, and another takes its place', async () => {
    const running = await scene.proxyBefore([mailhost.port], { listen: { workers: 2 } })
    const clients = await Promise.all(Array.from({ length: 8 }, () => inData(running.port)))
    await running.endThread(0)
    await expect.poll(() => clients.filter((client) => client.isClosed).length).toBe(4)
    for (const client of clients.filter((one) => !one.isClosed)) {
      expect(await client.says(message)).toMatch(/^250/)
      client.leave()
    }
    await expect.poll(() => running.status().gate.workers, { timeout: 20_000 }).toBe(2)
    const later = await Promise.all(Array.from({ length: 4 }, () => inData(running.port)))
    for (const client of later) expect(await client.says(message)).toMatch(/^250/)
    for (const client of later) client.leave()
    expect(mailhost.messages.length).toBe(8)
    expect(running.records().filter((record) => record['what'] === 'worker').length).toBe(1)
  })

  test('threads that die again and again: the service says that it cannot go on', async () => {
    const faults: string[] = []
    const onFatal = ({ code }: { readonly code: string }) => void faults.push(code)
    const running = await scene.proxyBefore(
      [mailhost.port],
      { listen: { workers: 1 } },
      { onFatal },
    )
    for (let death = 0; death <= threadDeathsMax; death++) {
      expect(faults).toEqual([])
      await expect.poll(() => running.status().gate.workers, { timeout: 20_000 }).toBe(1)
      await running.endThread(0)
    }
    await expect.poll(() => faults, { timeout: 20_000 }).toEqual(['THREADS_DIE'])
  }, 120_000)

  test('the cap is one over all threads: two sessions serve, others wait and get 451 4.3.2', async () => {
    const silent = await scene.mailhost({
      answer: (line) => (line.startsWith('RCPT') ? '' : undefined),
    })
    const running = await scene.proxyBefore([silent.port], {
      listen: { workers: 2 },
      mailhost: { sessions_max: 2, wait: '1s' },
    })
    const clients = await Promise.all(
      Array.from({ length: 6 }, async () => {
        const client = await SmtpClient.open(running.port)
        await client.saysAll('EHLO c.example', 'MAIL FROM:<a@x.example>')
        return client
      }),
    )
    const isAsked = () =>
      silent.sessions.filter(({ commands }) => commands.at(-1)?.startsWith('RCPT'))
    const replies: string[] = []
    const asking = clients.map(async (client) => {
      replies.push(await client.says('RCPT TO:<b@example.test>'))
    })
    await expect.poll(() => replies.length, { timeout: 20_000 }).toBe(4)
    expect(replies.map((reply) => reply.slice(0, 9))).toEqual(Array(4).fill('451 4.3.2'))
    expect(isAsked().length).toBe(2)
    expect(running.status().mailhosts.map(({ sessions }) => sessions)).toEqual([2])
    for (const { socket } of isAsked()) socket.write('250 2.1.5 Ok\r\n')
    await Promise.all(asking)
    expect(replies.slice(4).map((reply) => reply.slice(0, 3))).toEqual(['250', '250'])
    for (const client of clients) client.leave()
  })

  test('workers take turns within the cap of mailhost sessions', async () => {
    const running = await scene.proxyBefore([mailhost.port], {
      listen: { workers: 2 },
      mailhost: { sessions_max: 2 },
    })
    const one = async () => {
      const client = await inData(running.port)
      expect(await client.says(message)).toMatch(/^250/)
      client.leave()
    }
    for (let round = 0; round < 10; round++) {
      await Promise.all(Array.from({ length: 6 }, one))
    }
    expect(mailhost.messages.length).toBe(60)
    const open = mailhost.sessions.filter(({ socket }) => !socket.destroyed)
    expect(open.length).toBeLessThanOrEqual(2)
  })
})

describe('commands sent ahead', () => {
  test('a held command is not overwritten by the mailhost’s reply', async () => {
    const slow = await scene.mailhost({
      answer: (line) => (line.startsWith('RCPT') ? '' : undefined),
    })
    const running = await scene.proxyBefore([slow.port])
    const client = await SmtpClient.open(running.port)
    await client.saysAll('EHLO c.example', 'MAIL FROM:<a@x.example>')
    client.send('RCPT TO:<b@example.test>\r\n')
    await expect.poll(() => slow.commands.some((line) => line.startsWith('RCPT'))).toBe(true)
    client.send('DATA\r\n')
    // Not waited for but given time: the proxy should hold DATA when the reply comes.
    await sleep(200)
    slow.sessions.at(-1)?.socket.write('250 2.1.5 Ok, and a few octets more\r\n')
    expect(await client.reply()).toMatch(/^250/)
    expect(await client.reply()).toMatch(/^354/)
    client.leave()
  })

  test('they survive the replies that come in between, in one segment and cut anywhere', async () => {
    const running = await scene.proxyBefore([mailhost.port])
    const commands = `EHLO c.example\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@example.test>\r\nRCPT TO:<c@example.test>\r\nDATA\r\n`
    const body = 'Subject: ahead\r\n\r\nbody of a message sent ahead\r\n.\r\nQUIT\r\n'
    for (const cut of [commands.length, 30, 60, 90]) {
      const client = await SmtpClient.open(running.port)
      client.send(commands.slice(0, cut))
      client.send(commands.slice(cut))
      for (let reply = await client.reply(); !reply.startsWith('354'); ) {
        expect(reply).toMatch(/^250/)
        reply = await client.reply()
      }
      client.send(body)
      expect(await client.reply()).toMatch(/^250/)
      await client.closed()
    }
    expect(mailhost.messages.length).toBe(4)
    for (const { wire, recipients } of mailhost.messages) {
      expect(recipients).toEqual(['RCPT TO:<b@example.test>', 'RCPT TO:<c@example.test>'])
      expect(wire.toString()).toMatch(/Subject: ahead\r\n\r\nbody of a message sent ahead\r\n$/)
    }
  })
})

describe('stopping and reloading', () => {
  test('stop finishes a running transaction, refuses new ones and ends idle connections', async () => {
    const running = await scene.proxyBefore([mailhost.port])
    const busy = await inData(running.port)
    const idle = await SmtpClient.open(running.port)
    await idle.says('EHLO idle.example')
    const silent = await SmtpClient.open(running.port)
    const stopped = running.stop()
    expect(await idle.reply()).toMatch(/^421 4\.3\.2/)
    expect(await silent.reply()).toMatch(/^421 4\.3\.2/)
    const late = await SmtpClient.open(running.port).then(
      (client) => client.heard,
      () => '421 refused before accept',
    )
    expect(late).toMatch(/^421/)
    expect(await busy.says(message)).toMatch(/^250/)
    await stopped
    expect(mailhost.messages.length).toBe(1)
  })

  test.each([true, false])(
    'stop_wait bounds a transaction that does not end; native: %s',
    async (isNative) => {
      const stopWait = { listen: { stop_wait: '1s' } }
      const running = await scene.proxyBefore([mailhost.port], stopWait, { isNative })
      const client = await inData(running.port)
      await running.stop()
      await client.closed()
      await expect.poll(() => mailhost.sessions.every(({ socket }) => socket.destroyed)).toBe(true)
      expect(mailhost.messages).toEqual([])
    },
  )

  test('a reload changes what is ours and drops no connection', async () => {
    const running = await scene.proxyBefore([mailhost.port])
    const old = await inData(running.port)
    const domains = { recipients: { domains: ['other.test'] } }
    await running.reload(testConfig([mailhost.port], domains, running.folder))
    expect(await old.says(message)).toMatch(/^250/)
    const client = await SmtpClient.open(running.port)
    await client.saysAll('EHLO c.example', 'MAIL FROM:<a@x.example>')
    expect(await client.says('RCPT TO:<b@example.test>')).toMatch(/^550 5\.7\.1/)
    expect(await client.says('RCPT TO:<b@other.test>')).toMatch(/^250/)
    client.leave()
    old.leave()
  })

  test('serve: SIGTERM ends in good order; a taken port and a wrong setting are told in one line', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'activemx-serve-'))
    const port = await freePort()
    const settings = (more: string) => `name = "mx.example.test"
listen = { smtp = ["127.0.0.1:${port}"], workers = 1 ${more} }
mailhost = { addresses = ["127.0.0.1:${mailhost.port}"] }
recipients = { domains = ["example.test"] }
log = { to = "log" }
store = { path = "store" }
control = { socket = "control.sock" }
process = { user = "" }
`
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port: taken } = other.address() as AddressInfo
    writeFileSync(join(folder, 'a.toml'), settings(''))
    writeFileSync(join(folder, 'taken.toml'), settings('').replace(`:${port}`, `:${taken}`))
    // RFC 5737: an address of nobody.
    const away = settings('').replace(`127.0.0.1:${port}`, '192.0.2.1:2525')
    writeFileSync(join(folder, 'away.toml'), away)
    writeFileSync(join(folder, 'wrong.toml'), settings(', greet_dely = "1s"'))
    const serve = (file: string) => {
      const program = join(projectRoot, 'dist/src/cli/activemx.js')
      const child = spawn(process.execPath, [program, 'serve', '--config', join(folder, file)])
      let said = ''
      child.stderr.on('data', (text) => {
        said += String(text)
      })
      const ended = new Promise<{ status: number | null; said: string }>((resolve) => {
        child.on('close', (status) => resolve({ status, said }))
      })
      return { child, ended }
    }
    const first = serve('a.toml')
    await portAnswers(port)
    const second = await serve('taken.toml').ended
    other.close()
    expect(second.status).toBe(2)
    expect(second.said).toMatch(new RegExp(`^activemx: .*127\\.0\\.0\\.1:${taken}.*\\n$`))
    // A supervisor is to try this one again: the address may be on its way.
    const absent = await serve('away.toml').ended
    expect(absent.status).toBe(1)
    expect(absent.said).toMatch(
      /^activemx: cannot listen on 192\.0\.2\.1:2525: .*no such address.*\n$/,
    )
    const wrong = await serve('wrong.toml').ended
    expect(wrong.status).toBe(2)
    expect(wrong.said).toMatch(/^activemx: .*greet_dely.*greet_delay.*\n$/)
    first.child.kill('SIGTERM')
    expect((await first.ended).status).toBe(0)
    expect(readFileSync(join(folder, 'log'), 'utf8')).toContain('"what":"stop"')
    rmSync(folder, { recursive: true, force: true })
  })
})
