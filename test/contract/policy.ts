/** A gate policy that lets everybody pass, to be changed where a test needs it. */
import type { GatePolicy } from '../../src/io/gate.ts'

/** The policy with these differences. */
export function openPolicy(differences: Partial<GatePolicy> = {}): GatePolicy {
  return {
    greeting: '220 mx.example.test ESMTP\r\n',
    greetDelayMs: 0,
    earlyTalker: 'off',
    earlyTalkerReply: '554 5.5.1 Spoke before the greeting, id={id}\r\n',
    blacklist: 0,
    classRules: [{ verdictClass: 0, action: 'refuse', reply: '554 5.7.1 [{address}] id={id}\r\n' }],
    trusted: 0,
    proxyProtocolFrom: 0,
    connectionsMax: 1000,
    perAddressMax: 0,
    rateMax: 0,
    rateWindowMs: 60_000,
    tarpitMax: 10,
    sessionsPerWorkerMax: 1000,
    limitReply: '421 4.7.0 Too many connections, id={id}\r\n',
    overloadReply: '421 4.3.2 Too busy, id={id}\r\n',
    stoppingReply: '421 4.3.2 Stopping, id={id}\r\n',
    ...differences,
  }
}
