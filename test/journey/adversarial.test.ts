/**
 * The hostile cases that need no network, against a mailhost that keeps every octet: end-of-data,
 * pipelining, lines-8bit, injection, relay-forms, bdat, starttls. Judged by what the mailhost got.
 */
import { describe, expect, test } from 'vitest'
import { textOf } from '../../src/smtp/octets.ts'
import { type AdversarialCase, adversarialCases } from '../support/adversarial.ts'
import { describeWith, needsSharedData } from '../support/needs.ts'
import { Random } from '../support/random.ts'
import { plainMessage, World, type WorldOptions, withEnvelope } from './world.ts'

describeWith([needsSharedData()], 'hostile cases', () => {
  describe('end-of-data: one message at the most, nothing smuggled', () => {
    for (const found of bytesOf('end-of-data')) {
      for (const stray of ['refuse', 'normalise'] as const) {
        test(`${found.id} ${found.name}, ${stray}`, () => {
          for (const pieces of cutsOf(found)) {
            const world = withEnvelope(new World({ policy: { stray } }))
            world.send('DATA\r\n')
            for (const piece of pieces) world.send(piece)
            // In one case the end is a real one: what follows is the client's own next message.
            const messages = found.name === 'nul then real end' ? 2 : 1
            expect(world.delivered.length).toBeLessThanOrEqual(messages)
            const begun = world.calls.filter((call) => call.startsWith('begin'))
            expect(begun.length).toBe(messages)
            expectCleanBody(world)
            expectHonestService(world)
          }
        })
      }
    }
  })
  describe('relay-forms: refused at RCPT', () => {
    for (const found of bytesOf('relay-forms')) {
      test(`${found.id} ${found.name}`, () => {
        const world = new World()
        world.send(text(found))
        const offered = world.calls.filter((call) => call.startsWith('recipient'))
        expect(offered).toEqual([])
        expect(world.take().split('\r\n').at(-2)).toMatch(/^5\d\d /)
        expectHonestService(world)
      })
    }
  })
  for (const area of ['pipelining', 'lines-8bit', 'injection', 'bdat', 'starttls']) {
    describe(`${area}: a clear reply, nothing smuggled, an honest client is served`, () => {
      for (const found of bytesOf(area)) {
        test(`${found.id} ${found.name}`, () => {
          for (const pieces of cutsOf(found)) {
            const world = worldOf(found)
            for (const piece of pieces) world.send(piece)
            if (text(found) !== '') expect(world.take()).toMatch(/^\d\d\d/)
            expect(world.calls.join()).not.toMatch(/evil|smuggled/)
            expect(world.verdicts.some((verdict) => verdict.finding === 'internal-error')).toBe(
              false,
            )
            expectCleanBody(world)
            expectHonestService(world)
          }
        })
      }
    })
  }
})

test('RCPT flood: after the limit 452 4.5.3, those accepted stay valid', () => {
  const world = withEnvelope(new World())
  for (let i = 0; i < 150; i++) world.send(`RCPT TO:<u${i}@protected.example>\r\n`)
  const replies = world.take().split('\r\n')
  expect(replies.filter((line) => line.startsWith('250')).length).toBe(99)
  expect(replies.filter((line) => line === '452 4.5.3 too many recipients').length).toBe(51)
  world.send('DATA\r\n').send(`${plainMessage}.\r\n`)
  expect(world.delivered[0]?.recipients.length).toBe(100)
})

test('an endless line is read and dropped up to a bound, then the connection is closed', () => {
  const world = new World()
  const octets = 'A'.repeat(65_536)
  for (let i = 0; i < 20 && !world.isClosed; i++) world.send(octets)
  expect(world.take()).toBe('500 5.5.2 line too long\r\n421 4.7.0 endless line, closing\r\n')
  expect(world.verdicts[0]?.finding).toBe('endless-line')
})

test('RSET flood: beyond the limit each is an error, in the end 421', () => {
  const world = new World().send('EHLO c\r\n')
  for (let i = 0; i < 200 && !world.isClosed; i++) world.send('RSET\r\n')
  expect(world.take()).toMatch(/\r\n421 4\.7\.0 too many errors, closing\r\n$/)
})

test('20,000 chunks of one octet: bounded, and delivered', () => {
  const world = withEnvelope(new World())
  for (let i = 0; i < 20_000; i++) world.send('BDAT 1\r\na')
  world.send('BDAT 0 LAST\r\n')
  expect(world.delivered[0]?.octets).toBe(`${'a'.repeat(20_000)}\r\n`)
}, 120_000)

function bytesOf(area: string): readonly AdversarialCase[] {
  return adversarialCases(area).filter((found) => found.kind === 'bytes')
}

function text(found: AdversarialCase): string {
  const whole = textOf(found.input, 0, found.input.length)
  const literal = found.id.startsWith('end-of-data') && whole === '' ? '.\r\n' : whole
  return literal.replace(/<(FIN|TLS|after 220)>/g, '')
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

function worldOf(found: AdversarialCase): World {
  const options: WorldOptions = {
    policy: { hasCertificate: found.area === 'starttls' },
    ...(found.name === 'SMTPUTF8 not offered' ? { offered: ['PIPELINING'] } : {}),
    ...(found.name === 'not offered' ? { offered: ['PIPELINING'] } : {}),
    ...(found.setup.includes('550 at dot') ? { deliveryReply: () => '550 5.7.1 no' } : {}),
  }
  const world = new World(options)
  const isBody = found.area === 'lines-8bit' && !text(found).startsWith('EHLO')
  return isBody ? withEnvelope(world).send('DATA\r\n') : world
}

/** No stray octet at the mailhost; a CR may stand last where the message was given up there. */
function expectCleanBody(world: World): void {
  expect(world.bodySent).not.toMatch(/\r(?!\n)|(?<!\r)\n|\0/)
  for (const { octets } of world.delivered) expect(octets).not.toMatch(/(^|\r\n)\.\r\n/)
}

/** Another connection is served; sessions share nothing. */
function expectHonestService(_earlier: World): void {
  const world = withEnvelope(new World()).send('DATA\r\n').send(`${plainMessage}.\r\n`)
  expect(world.delivered[0]?.octets).toBe(plainMessage)
}
