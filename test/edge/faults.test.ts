/** B1: a bug of ours that one connection meets ends that one; the thread and the others go on. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Counters } from '../../src/edge/counters.ts'
import { Edge } from '../../src/edge/edge.ts'
import { compilePolicy } from '../../src/journey/policy.ts'
import type { VerdictRecord } from '../../src/journey/record.ts'
import type { LogRecord } from '../../src/log/records.ts'
import { scanBodyByteLoop } from '../../src/smtp/body-scanner.ts'
import { SessionCap } from '../../src/transfer/session-cap.ts'
import { testPolicy } from '../journey/world.ts'
import { MemoryEngine } from '../support/memory-engine.ts'
import { accepted, ehlo, policyWith } from '../transfer/scene.ts'

let engine: MemoryEngine
let edge: Edge
/** What fails once, at its next call. */
let failing: 'record' | 'isTraced' | 'untaken' | undefined
/** The session that asks the mailhost at start what it offers. */
const firstSession = 1
const records: LogRecord[] = []
const verdicts: VerdictRecord[] = []

beforeEach(() => {
  engine = new MemoryEngine()
  records.length = verdicts.length = 0
  failing = undefined
  const nobody = { trustedName: () => {}, examine: () => {}, forget: () => {} }
  edge = new Edge({
    newEngine: (handler) => {
      engine.handler = handler
      return engine
    },
    compiled: compilePolicy(testPolicy, scanBodyByteLoop),
    transfer: policyWith(),
    cap: new SessionCap(SessionCap.allocate(1), 0),
    counters: new Counters(Counters.allocate(1), 0),
    lists: { isWhitelisted: () => false, listsOf: () => [] },
    questions: nobody,
    log: {
      verdict: (record) => verdicts.push(record),
      record: (record) => {
        mayFail('record')
        records.push(record)
      },
      takes: () => true,
      isTraced: () => {
        mayFail('isTraced')
        return false
      },
    },
    newId: () => 'ID',
  })
  becomeReady(firstSession)
})

afterEach(async () => {
  await edge.stop()
})

function mayFail(what: typeof failing): void {
  if (failing !== what) return
  failing = undefined
  throw new Error(`${what} broke`)
}

/** A client comes. @returns its id. */
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
    acceptedAtMs: Math.floor(performance.now()),
  })
  return id
}

/** What it hears when it says this. */
function hears(id: number, said: string): string {
  engine.take(id)
  engine.feed(id, `${said}\r\n`)
  return engine.take(id)
}

function faultsTold(): readonly string[] {
  return records.flatMap((record) => (record.event === 'service' ? [record.detail] : []))
}

/** The mailhost takes a session. */
function becomeReady(id: number): void {
  engine.accept(id)
  engine.feed(id, '220 mailhost\r\n')
  engine.feed(id, ehlo)
}

test('in what serves a client: it hears 421 4.3.0, its record says why, others are served', () => {
  const other = comeClient()
  failing = 'record'
  const id = comeClient()
  expect(engine.take(id)).toBe('421 4.3.0 protocol: internal error, closing, id=ID\r\n')
  expect(engine.of(id).state).toBe('closed')
  expect(verdicts).toMatchObject([{ finding: 'internal-error', evidence: ['record broke'] }])
  expect(hears(other, 'EHLO c.example')).toMatch(/^250/)
})

test('in a sweep: the session that meets it ends, the others and the sweeps go on', async () => {
  engine.untaken = () => {
    mayFail('untaken')
    return 0
  }
  const clients = [comeClient(), comeClient()]
  for (const client of clients) {
    hears(client, 'EHLO c.example')
    hears(client, 'MAIL FROM:<a@x.example>')
    hears(client, 'RCPT TO:<b@protected.example>')
  }
  const secondSession = engine.opened.length
  becomeReady(secondSession)
  failing = 'untaken'
  await expect.poll(() => engine.of(firstSession).state, { timeout: 20_000 }).toBe('reset')
  expect(faultsTold()).toContain('a connection ends: untaken broke')
  expect(engine.of(secondSession).state).toBe('open')
  failing = 'untaken'
  await expect.poll(() => failing, { timeout: 20_000 }).toBeUndefined()
})

test('in what serves a mailhost: that session ends, its client goes on with another', () => {
  const client = comeClient()
  hears(client, 'EHLO c.example')
  hears(client, 'MAIL FROM:<a@x.example>')
  hears(client, 'RCPT TO:<b@protected.example>')
  failing = 'isTraced'
  engine.feed(firstSession, accepted)
  expect(engine.of(firstSession).state).toBe('reset')
  expect(faultsTold()).toContain('a connection ends: isTraced broke')
  engine.take(client)
  const next = engine.opened.length
  expect(next).toBeGreaterThan(client)
  becomeReady(next)
  engine.feed(next, accepted)
  expect(engine.take(client)).toMatch(/^250 2\.1\.5/)
})
