/**
 * MemoryEdge: a serving thread's edge on an engine without sockets, set up from a configuration as
 * an operator writes it. The test plays clients and mailhosts.
 */
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
import type { VerdictRecord } from '../../src/journey/record.ts'
import type { LogRecord } from '../../src/log/records.ts'
import { scanBodyByteLoop } from '../../src/smtp/body-scanner.ts'
import { SessionCap } from '../../src/transfer/session-cap.ts'
import { accepted, ehlo } from '../transfer/scene.ts'
import { MemoryEngine } from './memory-engine.ts'

/** One thread with one mailhost. */
export class MemoryEdge {
  readonly engine = new MemoryEngine()
  readonly edge: Edge
  readonly verdicts: VerdictRecord[] = []
  readonly records: LogRecord[] = []

  /** `settings`: what is to stand in the configuration beside name, mailhost and domain. */
  constructor(settings: string) {
    const text = `
      name = "mx.example.test"
      mailhost.addresses = ["192.0.2.9:25"]
      recipients.domains = ["example.test"]
      ${settings}
    `
    const loaded = parseConfig(text, '.')
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.error))
    const files = readPolicyFiles(loaded.value)
    this.edge = new Edge({
      newEngine: (handler) => {
        this.engine.handler = handler
        return this.engine
      },
      compiled: compilePolicy(journeyPolicyOf(loaded.value, files, false), scanBodyByteLoop),
      transfer: transferPolicyOf(loaded.value, files, new MailhostSlots()),
      cap: new SessionCap(SessionCap.allocate(1), 0),
      counters: new Counters(Counters.allocate(1), 0),
      lists: { isWhitelisted: () => false, listsOf: () => [] },
      questions: { trustedName: () => {}, examine: () => {}, forget: () => {} },
      log: {
        verdict: (record) => this.verdicts.push(record),
        record: (record) => this.records.push(record),
        takes: () => true,
        isTraced: () => false,
      },
      newId: () => 'ID',
    })
  }

  /** The mailhost takes a session. */
  open(session: number): void {
    this.engine.accept(session)
    this.engine.feed(session, '220 mailhost\r\n')
    this.engine.feed(session, ehlo)
  }

  /** A client comes and offers a recipient. @returns its id. */
  comeClient(): number {
    const id = this.greetClient()
    for (const line of ['MAIL FROM:<a@x.example>', 'RCPT TO:<b@example.test>']) {
      this.engine.feed(id, `${line}\r\n`)
    }
    return id
  }

  /** A client comes and has said EHLO. @returns its id. */
  greetClient(): number {
    const id = this.engine.connect('192.0.2.7', 4321)
    this.edge.onOpen(id, {
      address: '192.0.2.7',
      port: 4321,
      localAddress: '192.0.2.1',
      localPort: 25,
      isTrusted: false,
      verdictClass: 0,
      isEarlyTalker: false,
      acceptedAtMs: Math.floor(performance.now()),
    })
    this.engine.feed(id, 'EHLO c.example\r\n')
    return id
  }

  /** A client that is inside a message which goes through this session. @returns its id. */
  comeSender(session: number): number {
    const id = this.comeClient()
    this.engine.feed(session, `250 Ok\r\n${accepted}`)
    this.engine.feed(id, 'DATA\r\n')
    this.engine.feed(id, 'Subject: x\r\n\r\n')
    this.engine.feed(session, '354 go on\r\n')
    return id
  }
}
