/**
 * An application process: makes the TLS calls that the test orders, and tells how they ended.
 *
 * Orders come as JSON lines, are begun at once (several may be under way), and each is answered by
 * one line with the same number. Data travel as base64.
 */
import { createInterface } from 'node:readline'
import type { Lease, LeaseEnding, NewOptions } from '../../../src/tls/api.ts'
import { type TlsSession, TlsWrapper } from '../../../src/tls/wrapper.ts'

interface Order {
  readonly order: number
  readonly do: string
  readonly session?: string
  readonly options?: NewOptions
  readonly data?: string
  readonly octetsMax?: number
  readonly priority?: number
  readonly lease?: string
  readonly program?: string
  readonly ending?: LeaseEnding
}

const [daemon = ''] = process.argv.slice(2)
const wrapper = new TlsWrapper({ daemon })
const sessions = new Map<string, TlsSession>()
const leases = new Map<string, Lease>()

const doing: Record<string, (order: Order, session: TlsSession) => Promise<object>> = {
  pid: async () => ({ pid: process.pid, uid: process.getuid?.() }),
  new: async (order) => {
    const session = await wrapper.new(order.options ?? { shared: false })
    sessions.set(order.session ?? '', session)
    return { token: session.token, route: session.route, code: session.fault?.code ?? 'none' }
  },
  connect: (_order, session) => session.connect(),
  write: (order, session) =>
    session.write(Buffer.from(order.data ?? '', 'base64'), callOptions(order)),
  read: async (order, session) => {
    const { data, ...outcome } = await session.read(order.octetsMax ?? 65_536, callOptions(order))
    return { ...outcome, data: Buffer.from(data).toString('base64') }
  },
  readAll: async (order, session) => {
    const parts: Uint8Array[] = []
    for (let left = order.octetsMax ?? 0; left > 0; ) {
      const { code, data } = await session.read(left, callOptions(order))
      if (code !== 'none') return { code, data: Buffer.concat(parts).toString('base64') }
      parts.push(data)
      left -= data.length
    }
    return { code: 'none', data: Buffer.concat(parts).toString('base64') }
  },
  lease: async (order, session) => {
    const options = order.priority === undefined ? {} : { priority: order.priority }
    const lease = await session.lease(options)
    leases.set(order.lease ?? '', lease)
    return { code: lease.code, message: lease.message, greeting: lease.greeting }
  },
  release: async (order) => (await leases.get(order.lease ?? '')?.release(order.ending)) ?? {},
  activate: (order, session) => session.activate(order.program ?? ''),
  shutdown: (_order, session) => session.shutdown(),
  free: (_order, session) => session.free(),
}

function callOptions(order: Order) {
  return {
    ...(order.priority === undefined ? {} : { priority: order.priority }),
    ...(order.lease === undefined ? {} : { lease: leases.get(order.lease)?.id ?? 0 }),
  }
}

async function obey(line: string): Promise<void> {
  const order = JSON.parse(line) as Order
  const session = sessions.get(order.session ?? '')
  const work = doing[order.do]
  if (work === undefined) throw new Error(`unknown order ${order.do}`)
  const end = await work(order, session as TlsSession)
  process.stdout.write(`${JSON.stringify({ order: order.order, ...end })}\n`)
}

createInterface({ input: process.stdin })
  .on('line', (line) => void obey(line))
  .on('close', () => process.exit(0))
