/**
 * One application of the soak: conversations on all shared sessions in turn, every octet checked.
 *
 * Prints `ready`, begins at the first line of input, ends at the second and prints how many
 * conversations it had; −1 when an octet was wrong or a call failed.
 */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { type TlsSession, TlsWrapper } from '../../../src/tls/wrapper.ts'

const [daemon = '', port = '', caFile = '', count = '', number = ''] = process.argv.slice(2)
const wrapper = new TlsWrapper({ daemon })
const ca = readFileSync(caFile, 'utf8')
let isOver = false

/** A message, echoed back whole. @returns why it was not, '' if it was. */
async function converse(session: TlsSession): Promise<string> {
  const lease = await session.lease()
  if (lease.code !== 'none') return lease.message
  const sent = Buffer.concat([Buffer.from(`${number}:`), randomBytes(200 + 16 * Number(number))])
  const written = await session.write(sent, { lease: lease.id })
  if (written.code !== 'none') return written.message
  const parts: Uint8Array[] = []
  for (let left = sent.length; left > 0; ) {
    const { code, data, message } = await session.read(left, { lease: lease.id })
    if (code !== 'none') return message
    parts.push(data)
    left -= data.length
  }
  await lease.release()
  return Buffer.concat(parts).equals(sent) ? '' : 'other octets came back'
}

async function work(sessions: readonly TlsSession[]): Promise<number> {
  let conversations = 0
  for (let at = Number(number); !isOver; at++) {
    const session = sessions[at % sessions.length]
    const fault = session === undefined ? 'no session' : await converse(session)
    if (fault !== '') {
      console.error(`application ${number}: ${fault}`)
      return -1
    }
    conversations++
  }
  return conversations
}

const sessions: TlsSession[] = []
for (let at = 0; at < Number(count); at++) {
  const peer = { host: '127.0.0.1', port: Number(port), ca, servername: 'peer.test' }
  const session = await wrapper.new({ shared: `soak-${at}`, ...peer })
  const { code, message } = await session.connect()
  if (code !== 'none') throw new Error(`${code}: ${message}`)
  sessions.push(session)
}
let onGo: () => void = () => undefined
const go = new Promise<void>((resolve) => {
  onGo = resolve
})
createInterface({ input: process.stdin }).on('line', (line) => {
  if (line === 'go') onGo()
  else isOver = true
})
process.stdout.write('ready\n')
await go
process.stdout.write(`${await work(sessions)}\n`)
await wrapper.close()
process.exit(0)
