/**
 * Reload on the native threads: everything or nothing, lists before policies, one after the other.
 */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { OperatingError } from '../../src/base/errors.ts'
import { type RecordingMailhost, startRecordingMailhost } from '../support/recording-mailhost.ts'
import { startProxy, type TestProxy, testConfig, type Written } from '../support/running-proxy.ts'
import { SmtpClient } from '../support/smtp-client.ts'

let mailhost: RecordingMailhost
let proxy: TestProxy

beforeEach(async () => {
  mailhost = await startRecordingMailhost()
  proxy = await startProxy([mailhost.port])
})

afterEach(async () => {
  await proxy.end()
  await mailhost.stop()
})

/** The blacklist and the trusted list are files of the instance's folder. */
function withLists(more: Written = {}): Written {
  const file = (name: string) => join(proxy.folder, name)
  return {
    lists: {
      allow_loopback: true,
      blacklist: [{ name: 'black', file: file('black.txt') }],
      trusted: [{ name: 'friends', file: file('trusted.txt') }],
    },
    ...more,
  }
}

function write(name: string, text: string): string {
  const file = join(proxy.folder, name)
  writeFileSync(file, text)
  return file
}

async function greetingFor(localAddress: string): Promise<string> {
  const client = await SmtpClient.open(proxy.port, localAddress)
  client.leave()
  return client.heard.slice(0, 3)
}

async function recipientReply(to: string): Promise<string> {
  const client = await SmtpClient.open(proxy.port)
  await client.saysAll('EHLO c.example', 'MAIL FROM:<a@x.example>')
  const reply = await client.says(`RCPT TO:<${to}>`)
  client.leave()
  return reply.slice(0, 3)
}

const faults: readonly { readonly label: string; readonly code: RegExp; of(): Written }[] = [
  {
    label: 'a pattern file of the dialup test is away',
    code: /tests\.dialup\.patterns/,
    of: () => ({
      tests: { dialup: { mode: 'enforce', patterns: join(proxy.folder, 'none') } },
      probe: { helo: 'mx.example.test' },
    }),
  },
  {
    label: 'a rule of the header filter is none',
    code: /tests\.headers\.rules.*rules\.txt:1/,
    of: () => ({ tests: { headers: { mode: 'enforce', rules: write('rules.txt', 'what\n') } } }),
  },
  {
    label: 'two lists have one name',
    code: /black/,
    of: () => ({
      lists: {
        blacklist: ['a', 'b'].map((name) => ({ name: 'black', file: write(name, '') })),
      },
    }),
  },
  {
    label: 'the certificate does not fit',
    code: /tls\.certificate/,
    of: () => ({ tls: { certificate: write('c', 'x'), key: write('k', 'x') } }),
  },
]

for (const { label, code, of } of faults) {
  test(`${label}: nothing of the new configuration holds, and the threads live on`, async () => {
    write('black.txt', '127.0.0.9\n')
    write('trusted.txt', '')
    const domains = { recipients: { domains: ['other.test'] } }
    const wrong = () => testConfig([mailhost.port], { ...withLists(), ...domains, ...of() }, '/')
    const reloading = Promise.resolve().then(() => proxy.reload(wrong()))
    await expect(reloading).rejects.toSatisfy((fault: OperatingError) => code.test(fault.message))
    expect(await greetingFor('127.0.0.9')).toBe('220')
    expect(await recipientReply('b@example.test')).toBe('250')
    expect(await recipientReply('b@other.test')).toBe('550')
    expect(proxy.records().filter(({ what }) => what === 'worker')).toEqual([])
  })
}

test('lists and policies of a reload hold together: refused addresses and new domains', async () => {
  write('black.txt', '127.0.0.9\n')
  write('trusted.txt', '')
  const domains = { recipients: { domains: ['other.test'] } }
  await proxy.reload(testConfig([mailhost.port], withLists(domains), proxy.folder))
  expect(await greetingFor('127.0.0.9')).toBe('554')
  expect(await greetingFor('127.0.0.8')).toBe('220')
  expect(await recipientReply('b@other.test')).toBe('250')
})

test('B24: the record of a refusal says what was said, also when a reload has changed the words', async () => {
  const file = write('black.txt', '127.0.0.9\n')
  const heard: string[] = []
  for (let round = 0; round < 5; round++) {
    const reply = `554 5.7.1 Refused in round ${round}, id={id}`
    const lists = { allow_loopback: true, blacklist: [{ name: 'black', file, reply }] }
    await proxy.reload(testConfig([mailhost.port], { lists }, proxy.folder))
    const client = await SmtpClient.open(proxy.port, '127.0.0.9')
    heard.push(client.heard.trimEnd())
  }
  const told = () => proxy.verdicts().map(({ reply }) => reply)
  await expect.poll(told).toEqual(heard)
  expect(heard.at(-1)).toMatch(/^554 5\.7\.1 Refused in round 4, id=\w+$/)
})

test('trusted names that come with a reload are asked for by the next client', async () => {
  write('black.txt', '')
  write('trusted.txt', '')
  const nameServer = createSocket('udp4').bind(0, '127.0.0.1')
  await once(nameServer, 'listening')
  let queries = 0
  nameServer.on('message', () => {
    queries++
  })
  const config = () => {
    const dns = { servers: [`127.0.0.1:${nameServer.address().port}`], wait: '100ms', tries: 1 }
    const more = { dns, tests: { headers: { mode: 'enforce' } } }
    return testConfig([mailhost.port], withLists(more), proxy.folder)
  }
  await proxy.reload(config())
  expect(await recipientReply('b@example.test')).toBe('250')
  expect(queries).toBe(0)
  write('trusted.txt', 'friend.example\n')
  await proxy.reload(config())
  expect(await recipientReply('b@example.test')).toBe('250')
  await expect.poll(() => queries).toBeGreaterThan(0)
  nameServer.close()
})

test('what needs a restart stays as it is until then', async () => {
  write('black.txt', '127.0.0.9\n')
  write('trusted.txt', '')
  await proxy.reload(testConfig([mailhost.port], withLists(), proxy.folder))
  const { lists } = withLists()
  const changed = { lists: { ...(lists as object), blacklist_form: 'text', keep: 'store' } }
  await proxy.reload(testConfig([mailhost.port], changed, proxy.folder))
  expect(await greetingFor('127.0.0.9')).toBe('554')
  expect(await greetingFor('127.0.0.8')).toBe('220')
})

test('many reloads at once: one after the other, the last one holds', async () => {
  const reloads = Array.from({ length: 8 }, (_, at) => {
    const domains = { recipients: { domains: [`d${at}.test`] } }
    return proxy.reload(testConfig([mailhost.port], domains, proxy.folder))
  })
  await Promise.all(reloads)
  expect(await recipientReply('b@d6.test')).toBe('550')
  expect(await recipientReply('b@d7.test')).toBe('250')
})

test('trusted inside black, reload under load: no client gets a wrong verdict (feed-poisoning)', async () => {
  write('trusted.txt', '127.0.1.4\n')
  const reload = () => proxy.reload(testConfig([mailhost.port], withLists(), proxy.folder))
  write('black.txt', '127.0.1.0/24\n')
  await reload()
  const wanted = { '127.0.1.4': '220', '127.0.1.5': '554', '127.0.2.1': '220' }
  const wrong: string[] = []
  let isOver = false
  const ask = async () => {
    while (!isOver) {
      for (const [address, code] of Object.entries(wanted)) {
        const seen = await greetingFor(address)
        if (seen !== code) wrong.push(`${address} ${seen}`)
      }
    }
  }
  const clients = [ask(), ask()]
  for (let round = 0; round < 20; round++) {
    write('black.txt', `127.0.1.0/24\n127.0.3.${64 * (round % 4)}/26\n`)
    await reload()
  }
  isOver = true
  await Promise.all(clients)
  expect(wrong).toEqual([])
})
