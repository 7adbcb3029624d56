/**
 * The PROXY headers of balancers, whole and cut at every octet, on the native gate: each case gets
 * what it demands. A header that is taken names the client, in the log and for the mailhost; any
 * other from a balancer closes the connection without a word and is counted.
 */
import { connect } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type AdversarialCase, adversarialCases } from '../support/adversarial.ts'
import { honestClientIsServed } from '../support/honest-client.ts'
import { describeWith, needsSharedData } from '../support/needs.ts'
import { type RecordingMailhost, startRecordingMailhost } from '../support/recording-mailhost.ts'
import { startProxy, type TestProxy } from '../support/running-proxy.ts'
import { SmtpClient } from '../support/smtp-client.ts'

/** The client that the log must name; the header is refused in every other case. */
const named: Readonly<Record<string, string>> = {
  'proxy-protocol-211': '203.0.113.9',
  // Octets behind the header are the client's, and come before the greeting.
  'proxy-protocol-226': '203.0.113.9',
  // No balancer of ours: a client that talks early, judged by its own address.
  'proxy-protocol-228': '127.0.0.3',
  'proxy-protocol-231': '::1',
  // The balancer speaks for itself.
  'proxy-protocol-233': '127.0.0.2',
}

let mailhost: RecordingMailhost
let proxy: TestProxy

beforeEach(async () => {
  mailhost = await startRecordingMailhost()
  proxy = await startProxy([mailhost.port], {
    listen: { proxy_protocol_from: ['127.0.0.2/32'] },
    recipients: { domains: ['protected.example', 'example.test'] },
    log: { level: 'connections' },
  })
})

afterEach(async () => {
  await proxy.end()
  await mailhost.stop()
})

describeWith([needsSharedData()], 'PROXY headers of a balancer, cut at every octet', () => {
  for (const found of adversarialCases('proxy-protocol')) {
    test(`${found.id} ${found.name}`, async () => {
      const client = named[found.id]
      if (client === undefined) await expectSilence(found)
      else await expectClient(found, client)
      await honestClientIsServed(proxy.port)
      await expect.poll(() => proxy.status().gate.waiting).toBe(0)
    })
  }
})

test('the address of a PROXY header is the client’s: in the log and for the mailhost', async () => {
  const client = open('127.0.0.2')
  client.send('PROXY TCP4 203.0.113.9 192.0.2.10 4000 25\r\n')
  expect(await client.reply()).toMatch(/^220 /)
  const envelope = ['EHLO c.example', 'MAIL FROM:<a@x.example>', 'RCPT TO:<b@example.test>']
  expect(await client.saysAll(...envelope, 'DATA', 'Subject: x\r\n\r\nbody\r\n.')).toMatch(/^250/)
  client.leave()
  await expect.poll(() => proxy.verdicts()).toMatchObject([{ client: '203.0.113.9', port: 4000 }])
  expect(mailhost.messages[0]?.wire.toString()).toContain('([203.0.113.9])')
})

function open(localAddress: string): SmtpClient {
  const { port } = proxy
  return new SmtpClient(connect({ host: '127.0.0.1', port, localAddress, noDelay: true }))
}

/** One that does not end its header is waited for `proxyHeaderWaitMs`: it is sent whole only. */
function cutsOf({ input, name }: AdversarialCase): readonly number[] {
  if (name.endsWith('stall')) return [0]
  return Array.from({ length: input.length }, (_, at) => at)
}

async function expectSilence(found: AdversarialCase): Promise<void> {
  const { accepted, passed } = proxy.status().gate
  const cuts = cutsOf(found)
  for (const cut of cuts) {
    const client = open('127.0.0.2')
    client.send(found.input.subarray(0, cut))
    client.socket.write(found.input.subarray(cut))
    await client.closed()
    expect(client.heard, `cut at ${cut}`).toBe('')
  }
  const gate = proxy.status().gate
  expect([gate.accepted - accepted, gate.passed - passed]).toEqual([cuts.length, 0])
}

async function expectClient(found: AdversarialCase, address: string): Promise<void> {
  const isBalancer = address !== '127.0.0.3'
  const talksEarly = found.name.includes('EHLO') || !isBalancer
  const cuts = cutsOf(found)
  for (const cut of cuts) {
    const client = open(isBalancer ? '127.0.0.2' : '127.0.0.3')
    client.socket.write(found.input.subarray(0, cut), () =>
      client.socket.write(found.input.subarray(cut)),
    )
    const heard = await client.reply()
    // Cut behind the header, what follows may come behind the greeting.
    expect(heard, `cut at ${cut}`).toMatch(talksEarly ? /^(220|554) / : /^220 /)
    if (isBalancer && talksEarly && cut === 0) expect(heard).toMatch(/^554 5\.5\.1 /)
    if (heard.startsWith('220')) await client.saysAll('RSET', 'QUIT')
    client.leave()
  }
  const clients = () => {
    const records = proxy
      .records()
      .filter(({ event }) => event === 'connect' || event === 'verdict')
    return new Set(records.map(({ client }) => client))
  }
  await expect.poll(clients).toEqual(new Set([address]))
}
