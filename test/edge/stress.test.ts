/** Stress mode in a serving thread: what its settings come to for those who wait already. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { parseConfig } from '../../src/config/load.ts'
import { Counters } from '../../src/edge/counters.ts'
import { Edge } from '../../src/edge/edge.ts'
import {
  journeyPolicyOf,
  MailhostSlots,
  readPolicyFiles,
  transferPolicyOf,
} from '../../src/edge/policies.ts'
import { compilePolicy } from '../../src/journey/policy.ts'
import { scanBodyByteLoop } from '../../src/smtp/body-scanner.ts'
import { SessionCap } from '../../src/transfer/session-cap.ts'
import { MemoryEngine } from '../support/memory-engine.ts'
import { accepted, ehlo } from '../transfer/scene.ts'

const settings = `
  name = "mx.example.test"
  mailhost.addresses = ["192.0.2.9:25"]
  mailhost.sessions_max = 1
  mailhost.wait = "5m"
  recipients.domains = ["example.test"]
  stress.mailhost.wait = "100ms"
`
const onlySession = 1
let engine: MemoryEngine
let edge: Edge

beforeEach(() => {
  const loaded = parseConfig(settings, '.')
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.error))
  const files = readPolicyFiles(loaded.value)
  engine = new MemoryEngine()
  edge = new Edge({
    newEngine: (handler) => {
      engine.handler = handler
      return engine
    },
    compiled: compilePolicy(journeyPolicyOf(loaded.value, files, false), scanBodyByteLoop),
    transfer: transferPolicyOf(loaded.value, files, new MailhostSlots()),
    cap: new SessionCap(SessionCap.allocate(1), 0),
    counters: new Counters(Counters.allocate(1), 0),
    lists: { isWhitelisted: () => false, listsOf: () => [] },
    questions: { trustedName: () => {}, examine: () => {}, forget: () => {} },
    log: { verdict: () => {}, record: () => {}, takes: () => false, isTraced: () => false },
    newId: () => 'ID',
  })
  engine.accept(onlySession)
  engine.feed(onlySession, '220 mailhost\r\n')
  engine.feed(onlySession, ehlo)
})

afterEach(async () => {
  await edge.stop()
})

/** A client that has offered a recipient. */
function comeClient(): number {
  const id = engine.connect('192.0.2.7', 4321)
  edge.onOpen(id, {
    address: '192.0.2.7',
    port: 4321,
    localAddress: '192.0.2.1',
    localPort: 25,
    isTrusted: false,
    verdictClass: 0,
    isEarlyTalker: false,
    acceptedAtMs: Date.now(),
  })
  const lines = ['EHLO c.example', 'MAIL FROM:<a@x.example>', 'RCPT TO:<b@example.test>']
  for (const line of lines) engine.feed(id, `${line}\r\n`)
  return id
}

test('stress begins: who waits for a mailhost session waits no longer than stress.mailhost.wait', async () => {
  const holder = comeClient()
  engine.feed(onlySession, `250 Ok\r\n${accepted}`)
  engine.feed(holder, 'DATA\r\n')
  engine.feed(holder, 'Subject: x\r\n\r\n')
  engine.feed(onlySession, '354 go on\r\n')
  const waiting = comeClient()
  engine.take(waiting)
  edge.stress(true)
  await expect.poll(() => engine.take(waiting), { timeout: 20_000 }).toMatch(/^451 4\.3\.2 /)
})
