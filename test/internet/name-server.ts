/**
 * NameServer: the authoritative DNS server of the loopback internet, over UDP and TCP.
 *
 * It answers from a world, faults included, and notes its questions. RFC 1035 §4.2.
 */
import dgram from 'node:dgram'
import net from 'node:net'
import dnsPacket, { type Answer, type Question } from 'dns-packet'
import type { DnsFault, World } from './world.ts'

interface Lookup {
  readonly records: readonly Answer[]
  readonly fault?: DnsFault
  /** The name exists, whatever its records. */
  readonly exists: boolean
}

/** One name server. */
export class NameServer {
  /** `PTR 7.2.0.127.in-addr.arpa` in order of arrival. */
  readonly questions: string[] = []
  /** Whole answers by question (`MX name`), sent as they are but for the id. */
  readonly rawAnswers = new Map<string, Buffer>()
  /** Stands before the world for a question (`A name`): rebinding, a thousand records. */
  readonly overrides = new Map<string, () => readonly Answer[]>()
  readonly #world: World
  readonly #udp = dgram.createSocket('udp4')
  readonly #tcp = net.createServer((socket) => this.#onConnection(socket))
  readonly #open = new Set<net.Socket>()

  constructor(world: World) {
    this.#world = world
  }

  /** Binds TCP and UDP on one free port; resolves with `127.0.0.1:port`. */
  async listen(): Promise<string> {
    const port = await this.#bind()
    this.#udp.on('message', (octets, peer) => {
      const answer = this.#answer(octets, true)
      if (answer !== undefined) this.#udp.send(answer, peer.port, peer.address)
    })
    return `127.0.0.1:${port}`
  }

  /** TCP's port, where somebody else may have that of UDP: begun anew then. */
  async #bind(): Promise<number> {
    for (let attempt = 0; ; attempt++) {
      await new Promise<void>((resolve) => this.#tcp.listen(0, '127.0.0.1', resolve))
      const bound = this.#tcp.address()
      const port = typeof bound === 'object' && bound !== null ? bound.port : 0
      try {
        await this.#bindUdp(port)
        return port
      } catch (error) {
        if (attempt === 9) throw error
        await new Promise((resolve) => this.#tcp.close(resolve))
      }
    }
  }

  #bindUdp(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#udp.once('error', reject)
      this.#udp.bind(port, '127.0.0.1', () => {
        this.#udp.off('error', reject)
        resolve()
      })
    })
  }

  async close(): Promise<void> {
    for (const socket of this.#open) socket.destroy()
    await new Promise<void>((resolve) => this.#udp.close(() => resolve()))
    await new Promise<void>((resolve) => this.#tcp.close(() => resolve()))
  }

  #onConnection(socket: net.Socket): void {
    let pending: Buffer = Buffer.alloc(0)
    this.#open.add(socket)
    socket.on('close', () => this.#open.delete(socket))
    socket.on('error', () => socket.destroy())
    socket.on('data', (octets) => {
      pending = Buffer.concat([pending, octets])
      while (pending.length >= 2 && pending.length >= 2 + pending.readUInt16BE(0)) {
        const end = 2 + pending.readUInt16BE(0)
        const answer = this.#answer(pending.subarray(2, end), false)
        pending = pending.subarray(end)
        if (answer === undefined) socket.destroy()
        else socket.write(Buffer.concat([lengthOf(answer), answer]))
      }
    })
  }

  /** The whole answer, or undefined: none is given. */
  #answer(octets: Buffer, isUdp: boolean): Buffer | undefined {
    const query = dnsPacket.decode(octets)
    const question = query.questions?.[0]
    if (question === undefined) return undefined
    const name = question.name.toLowerCase()
    const key = `${question.type} ${name}`
    this.questions.push(key)
    const id = query.id ?? 0
    const raw = this.rawAnswers.get(key)
    if (raw !== undefined) return withId(raw, id)
    const found = this.#lookup(question.type, name)
    const isLost = found.fault === 'no-answer' || (found.fault === 'truncated' && !isUdp)
    if (isLost) return undefined
    const answer = encode(id, question, found)
    const isTruncated = found.fault === 'truncated' || (isUdp && answer.length > 512)
    if (isTruncated) return truncated(id, question)
    return found.fault === 'malformed' ? answer.subarray(0, answer.length - 5) : answer
  }

  #lookup(type: string, name: string): Lookup {
    const override = this.overrides.get(`${type} ${name}`)
    if (override !== undefined) return { records: override(), exists: true }
    if (type === 'PTR') return this.#lookupName(name)
    const fault = this.#world.domains[name]?.fault
    if (fault !== undefined) return { records: [], fault, exists: true }
    const texts = this.#world.texts?.[name]
    const isKnown = this.#world.domains[name] !== undefined || texts !== undefined
    const exists = isKnown || this.#addresses(name).length > 0
    if (type === 'MX') return { records: this.#exchangers(name), exists }
    if (type === 'TXT') {
      const records = (texts ?? []).map((data): Answer => ({ type, name, ttl: 60, data }))
      return { records, exists }
    }
    if (type !== 'A' && type !== 'AAAA') return { records: [], exists }
    const records = this.#addresses(name)
      .filter((address) => address.includes(':') === (type === 'AAAA'))
      .map((data): Answer => ({ type, name, ttl: 60, data }))
    return { records, exists }
  }

  #lookupName(name: string): Lookup {
    const labels = name.replace('.in-addr.arpa', '').split('.')
    const address = labels.toReversed().join('.')
    const other = this.#world.names?.[address]
    if (typeof other === 'string') return { records: [], fault: other, exists: true }
    const own = this.#world.hosts[address]?.name
    const names = other ?? (own === undefined ? [] : [own])
    const records = names.map((data): Answer => ({ type: 'PTR', name, ttl: 60, data }))
    return { records, exists: records.length > 0 }
  }

  #exchangers(name: string): readonly Answer[] {
    const mx = this.#world.domains[name]?.mx ?? []
    const exchanges = mx === 'null' ? ['.'] : mx
    return exchanges.map((exchange, index) => ({
      type: 'MX',
      name,
      ttl: 60,
      data: { preference: mx === 'null' ? 0 : (index + 1) * 10, exchange },
    }))
  }

  #addresses(name: string): readonly string[] {
    const wildcard = `*.${name.split('.').slice(1).join('.')}`
    const listed = this.#world.addresses?.[name] ?? this.#world.addresses?.[wildcard] ?? []
    const hosts = Object.entries(this.#world.hosts)
      .filter(([, host]) => host.name?.toLowerCase() === name)
      .map(([address]) => address)
    return [...listed, ...hosts, ...(this.#world.domains[name]?.addresses ?? [])]
  }
}

function lengthOf(answer: Buffer): Buffer {
  const header = Buffer.alloc(2)
  header.writeUInt16BE(answer.length)
  return header
}

function rcodeOf(found: Lookup): number {
  if (found.fault === 'servfail') return 2
  if (found.fault === 'refused') return 5
  return found.exists && found.fault !== 'no-such-name' ? 0 : 3
}

function encode(id: number, question: Question, found: Lookup): Buffer {
  if (found.fault === 'pointer-loop') return pointerLoop(id, question)
  const flags = dnsPacket.AUTHORITATIVE_ANSWER | dnsPacket.RECURSION_AVAILABLE | rcodeOf(found)
  const answers = [...found.records]
  return dnsPacket.encode({ type: 'response', id, flags, questions: [question], answers })
}

function truncated(id: number, question: Question): Buffer {
  const flags = dnsPacket.TRUNCATED_RESPONSE | dnsPacket.AUTHORITATIVE_ANSWER
  return dnsPacket.encode({ type: 'response', id, flags, questions: [question] })
}

/** One answer whose name is a pointer to itself. RFC 1035 §4.1.4. */
function pointerLoop(id: number, question: Question): Buffer {
  const head = dnsPacket.encode({ type: 'response', id, questions: [question] })
  head.writeUInt16BE(1, 6)
  const answer = Buffer.alloc(16)
  answer.writeUInt16BE(0xc000 | head.length, 0)
  answer.writeUInt16BE(1, 2)
  answer.writeUInt16BE(1, 4)
  answer.writeUInt32BE(60, 6)
  answer.writeUInt16BE(4, 10)
  return Buffer.concat([head, answer])
}

function withId(raw: Buffer, id: number): Buffer {
  const answer = Buffer.from(raw)
  if (answer.length >= 2) answer.writeUInt16BE(id, 0)
  return answer
}
