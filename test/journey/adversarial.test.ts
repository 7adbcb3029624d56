/**
 * The hostile cases that need no network, against a mailhost that keeps every octet: end-of-data,
 * pipelining, lines-8bit, injection, relay-forms, bdat, starttls. Each gets the replies that it
 * demands (adversarial-demands.ts), however its octets are cut; then it is judged by what the
 * mailhost got. That no case of these areas is left out is a test of its own.
 */
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { textOf } from '../../src/smtp/octets.ts'
import { type AdversarialCase, adversarialCases } from '../support/adversarial.ts'
import { codesOf, type Demand, demands, provedElsewhere } from '../support/adversarial-demands.ts'
import { describeWith, needsSharedData } from '../support/needs.ts'
import { Random } from '../support/random.ts'
import { plainMessage, World, type WorldOptions, withEnvelope } from './world.ts'

const areas = [
  'end-of-data',
  'pipelining',
  'lines-8bit',
  'injection',
  'relay-forms',
  'bdat',
] as const
const strays = ['refuse', 'normalise'] as const

/** Each is a loop over all its cases, with what each demands, in the file named. */
const areasElsewhere = { 'proxy-protocol': 'test/e2e/balancers.test.ts' } as const

describeWith([needsSharedData()], 'hostile cases', () => {
  for (const area of areas) {
    describe(`${area}: the reply that the case demands, nothing smuggled, an honest client served`, () => {
      for (const found of adversarialCases(area)) {
        const demand = demands[found.id]
        if (demand === undefined) continue
        for (const stray of strays) {
          test(`${found.id} ${found.name}, ${stray}`, () => {
            for (const pieces of cutsOf(found)) checkCase(demand, stray, pieces)
            expectHonestService()
          }, 60_000)
        }
      }
    })
  }

  describe('starttls: a clear reply, nothing smuggled', () => {
    for (const found of adversarialCases('starttls').filter(({ kind }) => kind === 'bytes')) {
      test(`${found.id} ${found.name}`, () => {
        for (const pieces of cutsOf(found)) {
          const world = new World({ policy: { hasCertificate: true } })
          for (const piece of pieces) world.send(piece)
          expect(world.take()).toMatch(/^\d\d\d/)
          expect(world.calls.join()).not.toMatch(/evil|smuggled/)
          expectCleanBody(world)
        }
      })
    }
  })

  test('no case of the protocol’s areas is left out', () => {
    const run: string[] = []
    const elsewhere: string[] = []
    for (const area of [...areas, 'transfer']) {
      for (const { id, kind } of adversarialCases(area)) {
        if (kind === 'bytes' && demands[id] !== undefined) run.push(id)
        else {
          const file = provedElsewhere[id]
          expect(file, `${id} is run nowhere`).toBeDefined()
          const titles = readFileSync(file ?? '', 'utf8').match(/test\(\s*['"`][^\n]*/g) ?? []
          expect(titles.filter((title) => title.includes(id)).length, `${id} in ${file}`).toBe(1)
          elsewhere.push(`${id} in ${file}`)
        }
      }
    }
    for (const [area, file] of Object.entries(areasElsewhere)) {
      expect(readFileSync(file, 'utf8')).toContain(`adversarialCases('${area}')`)
      elsewhere.push(`${adversarialCases(area).length} of ${area} in ${file}`)
    }
    const text = `hostile cases: ${run.length} run here, twice each, 0 skipped; ${elsewhere.join(', ')}`
    process.stdout.write(`${text}\n`)
    expect(Object.keys(demands).sort()).toEqual(run.sort())
  })
})

test('RCPT flood: after the limit 452 4.5.3, those accepted stay valid', () => {
  const world = withEnvelope(new World())
  for (let i = 0; i < 150; i++) world.send(`RCPT TO:<u${i}@protected.example>\r\n`)
  const replies = world.take().split('\r\n')
  expect(replies.filter((line) => line.startsWith('250')).length).toBe(99)
  expect(
    replies.filter((line) => line.startsWith('452 4.5.3 recipient: too many recipients, id='))
      .length,
  ).toBe(51)
  world.send('DATA\r\n').send(`${plainMessage}.\r\n`)
  expect(world.delivered[0]?.recipients.length).toBe(100)
})

test('a source route is dropped: the mailhost gets the mailbox alone', () => {
  const world = new World().send('EHLO c\r\nMAIL FROM:<@a,@b:c@x.example>\r\n')
  world.send('RCPT TO:<victim@protected.example>\r\n')
  const [begun] = world.calls.filter((call) => call.startsWith('begin'))
  expect(begun).toMatch(/^begin <c@x\.example> of c /)
})

test('an endless line is read and dropped up to a bound, then the connection is closed', () => {
  const world = new World()
  const octets = 'A'.repeat(65_536)
  for (let i = 0; i < 20 && !world.isClosed; i++) world.send(octets)
  expect(world.take()).toBe(
    '500 5.5.2 line too long\r\n421 4.7.0 protocol: endless line, closing, id=ID1\r\n',
  )
  expect(world.verdicts[0]?.finding).toBe('endless-line')
})

/** One case in one cut: replies, messages, and every octet that the mailhost got. */
function checkCase(demand: Demand, stray: 'refuse' | 'normalise', pieces: readonly string[]): void {
  const world = worldOf(demand, stray)
  for (const piece of pieces) world.send(piece)
  if (demand.endsInput === true) world.end()
  const isNormalised = stray === 'normalise'
  expect(codesOf(world.take())).toBe((isNormalised && demand.normalised) || demand.replies)
  expect(world.isClosed).toBe(demand.closes === true)
  const messages = demand.messages?.[isNormalised ? 1 : 0] ?? 0
  expect(world.delivered.length).toBe(messages)
  for (const { octets } of world.delivered) {
    if (demand.wire !== undefined) expect(octets).toMatch(demand.wire)
  }
  // What would be smuggled never becomes a command: the mailhost sees no envelope of it.
  const begun = world.calls.filter((call) => call.startsWith('begin'))
  if (demand.isBody === true) expect(begun.length).toBe(demand.replies.includes('354') ? 2 : 1)
  expect(world.verdicts.some(({ finding }) => finding === 'internal-error')).toBe(false)
  expectCleanBody(world)
}

function text(found: AdversarialCase): string {
  const whole = textOf(found.input, 0, found.input.length)
  return whole.replace(/<(FIN|TLS|after 220)>/g, '')
}

/** Whole, octet by octet, cut at every place (short ones), in random pieces. */
function cutsOf(found: AdversarialCase): string[][] {
  const whole = text(found)
  const random = new Random(5)
  const cuts = [[whole], random.pieces(whole)]
  if (whole.length > 2000) return cuts
  cuts.push(whole.split(''))
  for (let at = 1; at < whole.length; at++) cuts.push([whole.slice(0, at), whole.slice(at)])
  return cuts
}

const keywords = ['PIPELINING', 'SIZE', '8BITMIME', 'SMTPUTF8', 'DSN', 'CHUNKING']

function worldOf(demand: Demand, stray: 'refuse' | 'normalise'): World {
  const { deliveryReply, withoutKeywords = [] } = demand
  const options: WorldOptions = {
    policy: { stray },
    offered: keywords.filter((keyword) => !withoutKeywords.includes(keyword)),
    ...(deliveryReply === undefined ? {} : { deliveryReply: () => deliveryReply }),
  }
  const world = new World(options)
  if (demand.isBody !== true) return world
  withEnvelope(world).send('DATA\r\n').take()
  return world
}

/** No stray octet at the mailhost, and no line of one dot inside a message. */
function expectCleanBody(world: World): void {
  expect(world.bodySent).not.toMatch(/\r(?!\n)|(?<!\r)\n|\0/)
  for (const { octets } of world.delivered) expect(octets).not.toMatch(/(^|\r\n)\.\r\n/)
}

/** Another connection is served; sessions share nothing. */
function expectHonestService(): void {
  const world = withEnvelope(new World()).send('DATA\r\n').send(`${plainMessage}.\r\n`)
  expect(world.delivered[0]?.octets).toBe(plainMessage)
}
