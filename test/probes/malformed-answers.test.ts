/**
 * Malformed DNS answers: every one is *trouble*, in whatever question it comes. It is no record, no
 * name that does not exist, no missing PTR; no address of it is connected to, and nobody is refused
 * for it. Only an answer that is whole says anything.
 */
import { readdirSync, readFileSync } from 'node:fs'
import dnsPacket, { type Answer } from 'dns-packet'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Finding } from '../../src/checks/finding.ts'
import type { Conversation } from '../../src/probes/converse.ts'
import { type DnsAnswer, DnsNameService } from '../../src/probes/dns.ts'
import { checkSpf } from '../../src/probes/spf.ts'
import { NameServer } from '../internet/name-server.ts'
import { brokerOver } from '../support/broker.ts'
import { describeWith, needsSharedData, sharedData } from '../support/needs.ts'

const types = ['MX', 'A', 'TXT', 'PTR'] as const
type Type = (typeof types)[number]

let server: NameServer
let names: DnsNameService
let serverAddress = ''
let count = 0
beforeAll(async () => {
  server = new NameServer({ hosts: {}, domains: {} })
  serverAddress = await server.listen()
})
beforeEach(() => {
  const settings = { servers: [serverAddress], waitMs: 400, tries: 1, entriesMax: 1000 }
  names = new DnsNameService({ ...settings, ttlMaxMs: 1000, ttlMs: 1000, negativeTtlMs: 1000 })
})
afterAll(() => server.close())

/** A name of its own for each question, so that no answer is remembered. */
function newName(type: Type): { readonly asked: string; readonly name: string } {
  count++
  const [low, high] = [count & 255, count >> 8]
  if (type === 'PTR')
    return { asked: `127.9.${high}.${low}`, name: reverse(`127.9.${high}.${low}`) }
  return { asked: `q${count}.far.example`, name: `q${count}.far.example` }
}

const reverse = (address: string): string =>
  `${address.split('.').toReversed().join('.')}.in-addr.arpa`

function ask(type: Type, asked: string): Promise<DnsAnswer<unknown>> {
  if (type === 'MX') return names.exchangers(asked)
  if (type === 'A') return names.addresses(asked)
  return type === 'TXT' ? names.texts(asked) : names.names(asked)
}

function recordOf(type: Type | 'AAAA', name: string): Answer {
  if (type === 'MX')
    return { type, name, ttl: 60, data: { preference: 1, exchange: 'mx.far.example' } }
  if (type === 'TXT') return { type, name, ttl: 60, data: ['v=spf1 +all'] }
  if (type === 'PTR') return { type, name, ttl: 60, data: '127-9-0-1.dialup.pool.example' }
  return { type, name, ttl: 60, data: type === 'A' ? '127.9.9.9' : '2600::9' }
}

/** A whole answer with one record; where its record begins, and where its length of data stands. */
function wholeAnswer(type: Type | 'AAAA', name: string) {
  const questions = [{ type, name, class: 'IN' as const }]
  const answers = [recordOf(type, name)]
  const octets = dnsPacket.encode({ type: 'response', id: 0, questions, answers })
  const record = 12 + name.length + 2 + 4
  return { octets, record, dataLength: record + name.length + 2 + 8 }
}

type Whole = ReturnType<typeof wholeAnswer>

const faults: Readonly<Record<string, (whole: Whole) => Buffer>> = {
  'two records told, one there': ({ octets }) => withWord(octets, 6, 2),
  '65,535 records told': ({ octets }) => withWord(octets, 6, 65_535),
  'length of data one short': ({ octets, dataLength }) =>
    withWord(octets, dataLength, octets.readUInt16BE(dataLength) - 1),
  'length of data beyond the end': ({ octets, dataLength }) => withWord(octets, dataLength, 65_535),
  'length of data one beyond the end': ({ octets, dataLength }) =>
    withWord(octets, dataLength, octets.readUInt16BE(dataLength) + 1),
  'no data': ({ octets, dataLength }) =>
    withWord(octets.subarray(0, dataLength + 2), dataLength, 0),
  'a label of 64 octets': ({ octets, record }) => withOctets(octets, record, [0x40]),
  'a label beyond the end': ({ octets, record }) =>
    withOctets(octets.subarray(0, record + 20), record, [63]),
  'a pointer to itself': ({ octets, record }) => withOctets(octets, record, [0xc0, record]),
  'a pointer forward': ({ octets, record }) =>
    withOctets(octets, record, [0xc0, octets.length - 1]),
  'a pointer beyond the end': ({ octets, record }) => withOctets(octets, record, [0xff, 0xff]),
  'no question': ({ octets, record }) =>
    withWord(Buffer.concat([octets.subarray(0, 12), octets.subarray(record)]), 4, 0),
  'two questions': ({ octets, record }) =>
    withWord(Buffer.concat([octets.subarray(0, record), octets.subarray(12)]), 4, 2),
  'a question that nobody asked': ({ octets }) => withOctets(octets, 13, [0x7a]),
  'NXDOMAIN, cut in its record': ({ octets }) =>
    withOctets(octets.subarray(0, octets.length - 3), 3, [3]),
  'format error': ({ octets, record }) => answerOfCode(octets, record, 1),
  'server failure': ({ octets, record }) => answerOfCode(octets, record, 2),
  'not implemented': ({ octets, record }) => answerOfCode(octets, record, 4),
  refused: ({ octets, record }) => answerOfCode(octets, record, 5),
}

function withWord(octets: Buffer, at: number, word: number): Buffer {
  const changed = Buffer.from(octets)
  changed.writeUInt16BE(word, at)
  return changed
}

function withOctets(octets: Buffer, at: number, values: readonly number[]): Buffer {
  const changed = Buffer.from(octets)
  changed.set(values, at)
  return changed
}

function answerOfCode(octets: Buffer, record: number, code: number): Buffer {
  return withWord(withOctets(octets.subarray(0, record), 3, [code]), 6, 0)
}

/** The server answers the name like this from now on, for A in both families. */
function answerWith(type: Type, name: string, make: (whole: Whole) => Buffer): void {
  server.rawAnswers.set(`${type} ${name}`, make(wholeAnswer(type, name)))
  if (type === 'A') server.rawAnswers.set(`AAAA ${name}`, make(wholeAnswer('AAAA', name)))
}

describe.each(types)('%s', (type) => {
  test('whole: found', async () => {
    const { asked, name } = newName(type)
    answerWith(type, name, ({ octets }) => octets)
    expect(await ask(type, asked)).toMatchObject({ kind: 'found' })
  })

  test.each(Object.entries(faults))('%s: trouble', async (_label, make) => {
    const { asked, name } = newName(type)
    answerWith(type, name, make)
    expect(await ask(type, asked)).toMatchObject({ kind: 'trouble' })
  })

  test('cut at every octet: trouble', async () => {
    const { length } = wholeAnswer(type, newName(type).name).octets
    const kinds = await Promise.all(
      Array.from({ length: length - 8 }, (_, cut) => {
        const { asked, name } = newName(type)
        answerWith(type, name, ({ octets }) => octets.subarray(0, Math.min(cut, octets.length - 1)))
        return ask(type, asked).then(({ kind }) => kind)
      }),
    )
    expect(new Set(kinds)).toEqual(new Set(['trouble']))
  })
})

describe('what the tests make of them', () => {
  const contacted: string[] = []
  const converse = async ({ address }: { readonly address: string }): Promise<Conversation> => {
    contacted.push(address)
    return { kind: 'refused', reason: 'ECONNREFUSED' }
  }
  const off = { dialup: 'off', relay: 'off', user: 'off' } as const

  const asking = (modes: object, address: string, sender: string): Promise<readonly Finding[]> => {
    contacted.length = 0
    const internet = { smtpPort: 25, nameServer: serverAddress } as never
    const settings = { modes: { ...off, ...modes }, noPtr: 'dialup' } as const
    return brokerOver(internet, settings, { converse, names }).ask(address, sender)
  }

  test.each(Object.entries(faults))(
    '%s: nobody is asked, nothing is proved',
    async (_label, make) => {
      const trouble = { outcome: 'indeterminate', name: 'dns-trouble' }
      const user = { user: 'enforce' } as const

      const domain = newName('MX').name
      answerWith('MX', domain, make)
      expect(await asking(user, '127.9.0.1', `ann@${domain}`)).toMatchObject([trouble])
      expect(contacted).toEqual([])

      const other = newName('MX').name
      answerWith('MX', other, ({ octets }) => octets)
      answerWith('A', 'mx.far.example', make)
      expect(await asking(user, '127.9.0.1', `ann@${other}`)).toMatchObject([trouble])
      expect(contacted).toEqual([])

      const { asked, name } = newName('PTR')
      answerWith('PTR', name, make)
      expect(await asking({ dialup: 'enforce' }, asked, 'ann@x.example')).toMatchObject([trouble])
      expect(contacted).toEqual([asked])

      const signed = newName('TXT').name
      answerWith('TXT', signed, make)
      const mailbox = { local: 'ann', domain: signed }
      expect(await checkSpf(mailbox, '127.9.0.1', 'x.example', names)).toBe('temperror')
    },
  )
})

/** The answer with our question in the place of its own, as far as its own can be found. */
function withQuestion(octets: Buffer, type: Type | 'AAAA', name: string): Buffer {
  const { octets: whole, record } = wholeAnswer(type, name)
  let at = 12
  for (let left = octets.length > 12 ? octets.readUInt16BE(4) : 0; left > 0; left--) {
    while ((octets[at] ?? 0) > 0 && (octets[at] ?? 0) < 64) at += (octets[at] ?? 0) + 1
    at += (octets[at] ?? 0) >= 64 ? 6 : 5
    if (at >= octets.length) break
  }
  const head = Buffer.concat([octets.subarray(0, 12), Buffer.alloc(12)]).subarray(0, 12)
  head.writeUInt16BE(1, 4)
  return Buffer.concat([head, whole.subarray(12, record), octets.subarray(Math.max(12, at))])
}

/** What another decoder makes of the answer; undefined: it is malformed. */
function judged(octets: Buffer): { readonly code: number; readonly text: string } | undefined {
  try {
    const { answers } = dnsPacket.decode(octets)
    return { code: (octets[3] ?? 0) & 15, text: JSON.stringify(answers) }
  } catch {
    return undefined
  }
}

async function checkWithQuestion(octets: Buffer, type: Type): Promise<void> {
  const { asked, name } = newName(type)
  const sent = withQuestion(octets, type, name)
  server.rawAnswers.set(`${type} ${name}`, sent)
  if (type === 'A') server.rawAnswers.set(`AAAA ${name}`, withQuestion(octets, 'AAAA', name))
  const answer = await ask(type, asked)
  if (answer.kind === 'trouble') return
  const whole = judged(sent)
  expect(whole, `${type}: ${JSON.stringify(answer)}`).toBeDefined()
  expect(whole?.code === 3).toBe(answer.kind === 'no-name')
  if (answer.kind !== 'found') return
  for (const record of answer.records) expect(whole?.text).toContain(String(record))
}

describeWith([needsSharedData()], 'the fuzz corpus', () => {
  const folder = sharedData('dns/fuzzinput')
  const files = needsSharedData() === undefined ? readdirSync(folder) : []

  test.each(files)(
    '%s as it stands: trouble, since it answers no question of ours',
    async (file) => {
      const octets = readFileSync(`${folder}/${file}`).subarray(0, 4000)
      const answers = await Promise.all(
        types.map((type) => {
          const { asked, name } = newName(type)
          answerWith(type, name, () => octets)
          return ask(type, asked)
        }),
      )
      expect(answers.map(({ kind }) => kind)).toEqual(types.map(() => 'trouble'))
    },
  )

  test.each(files)('%s with our question: what is malformed is trouble', async (file) => {
    const octets = readFileSync(`${folder}/${file}`).subarray(0, 4000)
    await Promise.all(types.map((type) => checkWithQuestion(octets, type)))
  })

  test('names that are none are not asked for; the others are', async () => {
    const texts = readdirSync(sharedData('dns/fuzznames')).map((file) =>
      readFileSync(sharedData(`dns/fuzznames/${file}`), 'latin1'),
    )
    for (const text of texts) {
      const before = server.questions.length
      const answer = await names.exchangers(text)
      const asked = server.questions.slice(before)
      const isName = /^[a-z]+(\.[a-z]+)+\.?$/.test(text)
      const isUtf8 = text.startsWith('utf8.')
      expect(answer.kind, text).toBe(isName || isUtf8 ? 'no-name' : 'trouble')
      if (isUtf8) expect(asked.join(), text).toMatch(/^MX utf8\.xn--[a-z0-9-]+\.data\.com$/)
      else expect(asked, text).toEqual(isName ? [`MX ${text.replace(/\.$/, '')}`] : [])
    }
  })
})
