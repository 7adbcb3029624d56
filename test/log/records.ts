/** Records for the tests of the log. */
import type { VerdictRecord } from '../../src/journey/record.ts'

/** 2026-11-21T23:00:10.042Z */
export const someTime = Date.UTC(2026, 10, 21, 23, 0, 10, 42)

/** A refused sender, with everything that a record may have. */
export function verdictRecord(changes: Partial<VerdictRecord> = {}): VerdictRecord {
  return {
    time: someTime,
    id: '4bQx1-7',
    client: '192.0.2.7',
    port: 40123,
    helo: 'mail.remote.example',
    sender: 'a@remote.example',
    recipients: ['b@example.net'],
    recipientsRefused: [],
    layer: 'user',
    finding: 'no-such-user',
    action: 'refuse',
    reply: '550 5.1.8 Sender does not exist, id=4bQx1-7',
    evidence: ['mx.remote.example said 550 5.1.1'],
    mailhostReply: '',
    octets: 0,
    ms: 1234,
    tls: '',
    protocol: 'ESMTP',
    ...changes,
  }
}
