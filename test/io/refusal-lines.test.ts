import { expect, test } from 'vitest'
import { loadAddon } from '../../src/addon/addon.ts'
import { recordOfRefusal } from '../../src/edge/main-records.ts'
import { RefusalLog } from '../../src/edge/refusal-log.ts'
import type { Gate, RefusalWriter } from '../../src/io/gate.ts'
import {
  NativeRefusals,
  type RefusalAddon,
  refusalEntryOctets,
} from '../../src/io/native-refusals.ts'
import { type LogFormat, lineOf } from '../../src/log/format.ts'
import { type LogMessage, ThreadLog } from '../../src/log/thread-log.ts'
import { openPolicy } from '../contract/policy.ts'

const entryCount = 600
const startMs = Date.UTC(2026, 10, 21, 23, 59, 58, 7)

const policy = openPolicy({
  classRules: [
    { verdictClass: 0, action: 'refuse', reply: '554 5.7.1 {address} is listed, id={id}\r\n' },
    { verdictClass: 1, action: 'reset', reply: '' },
    { verdictClass: 2, action: 'refuse', reply: `554 "${'long '.repeat(200)}" {id}\r\n` },
    { verdictClass: 3, action: 'tarpit', reply: '554-one {id}\r\n554 two {id} {address}\r\n' },
  ],
})
const listsOf = (verdictClass: number) => [`list ${verdictClass}`, 'a "b" \\ c']

/** Every cause, action and some classes; IPv4 and IPv6; one second after another. */
function someEntries(): Uint8Array {
  const entries = new Uint8Array(entryCount * refusalEntryOctets)
  const view = new DataView(entries.buffer)
  for (let index = 0; index < entryCount; index++) {
    const at = index * refusalEntryOctets
    const word = Math.imul(index + 1, 2_654_435_761) >>> 0
    view.setFloat64(at, startMs + index * 10, true)
    const isVersion6 = index % 3 === 0
    // Sparse words: runs of zeros of every length stand in the texts.
    const high = isVersion6 ? BigInt(index % 2 === 0 ? word : 0) << BigInt(index % 33) : 0n
    const low = isVersion6 ? BigInt(word) << BigInt(index % 32) : 0xffff00000000n + BigInt(word)
    view.setBigUint64(at + 8, high, true)
    view.setBigUint64(at + 16, low, true)
    view.setUint32(at + 24, word >>> 2, true)
    view.setUint32(at + 28, (word ^ index) >>> 2, true)
    view.setUint32(at + 32, index % 7 === 0 ? index : 0, true)
    view.setUint16(at + 36, word & 0xffff, true)
    view.setUint16(at + 38, index % 5, true)
    view.setUint8(at + 40, index % 6)
    view.setUint8(at + 41, (index >> 3) % 6)
  }
  return entries
}

test.each<LogFormat>(['json', 'logfmt', 'postfix'])(
  'lines written natively are those of the records, octet for octet: %s',
  (format) => {
    const entries = someEntries()
    const refusals = new NativeRefusals(loadAddon() as unknown as RefusalAddon, entries)
    const line = { format, host: 'mx1.example.net', tag: 'activemx', isSyslog: false }
    const wanted = Array.from({ length: entryCount }, (_, index) => {
      const record = recordOfRefusal(refusals.read(index), policy, listsOf)
      return `${lineOf({ ...record, event: 'verdict' }, line)}\n`
    })
    const seen: string[] = []
    let formless = 0
    const send = (message: LogMessage) =>
      seen.push(message.kind === 'lines' ? message.lines : message.line)
    const log = new ThreadLog(
      { take: () => true, send, dropped: () => {}, waiting: () => {} },
      { line, level: 'verdicts', traced: [] },
    )
    const writeRefusals = (writer: RefusalWriter) => {
      const refusal: RefusalWriter['refusal'] = (one) => {
        formless++
        writer.refusal(one)
      }
      refusals.write({ ...writer, refusal }, entryCount)
    }
    const gate = { writeRefusals, refusals: () => [] } as unknown as Gate
    new RefusalLog({ gate, log, listsOf }).drain(policy)
    log.flush()
    expect(seen.join('')).toBe(wanted.join(''))
    expect(formless).toBeGreaterThan(0)
    expect(formless).toBeLessThan(entryCount / 2)
  },
)
