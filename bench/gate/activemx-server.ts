/**
 * The contender: the native gate with counters, and with its refusals as verdict lines in a log.
 *
 * activemx-server PORT logged|silent|reset
 */
import { openSync, writeSync } from 'node:fs'
import { recordOfRefusal } from '../../src/edge/main-records.ts'
import type { GatePolicy } from '../../src/io/gate.ts'
import { newNativeGate } from '../../src/io/native-gate.ts'
import { lineOf } from '../../src/log/format.ts'
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
}
const settings = { format: 'json', host: 'mx', tag: 'activemx', isSyslog: false } as const
const log = openSync('/dev/null', 'w')
const gate = newNativeGate()
if (gate === undefined) throw new Error('the addon does not load')
gate.configure(policy)
await gate.listen([`127.0.0.1:${port}`])
setInterval(drain, 100)
console.log('ready')

function drain(): void {
  const refusals = gate?.refusals() ?? []
  if (mode !== 'logged' || refusals.length === 0) return
  let lines = ''
  for (const refusal of refusals) {
    const record = recordOfRefusal(refusal, policy, (one) => table.listsOf(one))
    lines += `${lineOf({ event: 'verdict', ...record }, settings)}\n`
  }
  writeSync(log, lines)
}
