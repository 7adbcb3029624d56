/**
 * The contender: the native gate with counters, and with its refusals as verdict lines in a log.
 *
 * activemx-server PORT logged|silent|reset|blocked
 */
import { openSync, writeSync } from 'node:fs'
import { RefusalLog } from '../../src/edge/refusal-log.ts'
import type { GatePolicy } from '../../src/io/gate.ts'
import { newNativeGate } from '../../src/io/native-gate.ts'
import { ThreadLog } from '../../src/log/thread-log.ts'
import { nativeTable } from '../../src/tables/native-table.ts'

const [port = '0', mode = 'logged'] = process.argv.slice(2)
const table = nativeTable.fromPrefixes([{ prefix: '127.10.0.0/16', list: 'drop' }])
const reply = '554 5.7.1 Refused, see https://example.net/why?id={id} {address}\r\n'
const action = mode === 'reset' ? 'reset' : 'refuse'
const policy: GatePolicy = {
  greeting: '220 mx.example.net ESMTP\r\n',
  greetDelayMs: 0,
  earlyTalker: 'enforce',
  earlyTalkerReply: '554 5.5.1 early id={id}\r\n',
  blacklist: table.handle,
  classRules: [{ verdictClass: 0, action, reply }],
  trusted: 0,
  proxyProtocolFrom: 0,
  connectionsMax: 20_000,
  perAddressMax: 50,
  rateMax: 60,
  rateWindowMs: 60_000,
  tarpitMax: 5_000,
  sessionsPerWorkerMax: 10_000,
  limitReply: '421 4.7.0 id={id}\r\n',
  overloadReply: '421 4.3.2 id={id}\r\n',
  stoppingReply: '421 4.3.2 id={id}\r\n',
}
const line = { format: 'json', host: 'mx', tag: 'activemx', isSyslog: false } as const
const file = openSync('/dev/null', 'w')
const log = new ThreadLog(
  {
    take: () => true,
    send: (message) => writeSync(file, message.kind === 'lines' ? message.lines : message.line),
    dropped: () => {},
    waiting: () => {},
  },
  { line, level: 'verdicts', traced: [] },
)
const gate = newNativeGate()
if (gate === undefined) throw new Error('the addon does not load')
const refusals = new RefusalLog({ gate, log, listsOf: (one) => table.listsOf(one) })
gate.configure(policy)
await gate.listen([`127.0.0.1:${port}`])
// Without a log the gate's ring is full soon: refusals are counted then, not kept.
setInterval(() => {
  if (mode !== 'silent') refusals.drain(policy)
}, 100)
console.log('ready')
// Blocked without using the CPU that is being measured.
const nobody = new Int32Array(new SharedArrayBuffer(4))
if (mode === 'blocked') setInterval(() => Atomics.wait(nobody, 0, 0, 50), 60)
