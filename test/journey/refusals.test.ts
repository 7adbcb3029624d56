/**
 * What a refusal says: the layer and the id of its record, so that a postmaster can ask and an
 * operator can find it; and what of it is the mailhost's.
 */
import { expect, test } from 'vitest'
import type { TestMode } from '../../src/journey/policy.ts'
import type { Reply } from '../../src/smtp/reply.ts'
import { plainMessage, World, type WorldOptions, withEnvelope } from './world.ts'

const hello = 'EHLO c.example\r\n'
const mail = 'MAIL FROM:<a@client.example>\r\n'
const enforce: TestMode = 'enforce'

const refusals: readonly {
  readonly label: string
  readonly options?: WorldOptions
  readonly said: string
  readonly layer?: string
}[] = [
  {
    label: 'a size stated too large',
    said: `${hello}${mail.trimEnd()} SIZE=999999999\r\nQUIT\r\n`,
  },
  { label: 'a chunk too large, before any transaction', said: `${hello}BDAT 999999999999\r\n` },
  { label: 'a chunk whose size is none', said: `${hello}${mail}BDAT 1x\r\n` },
  {
    label: 'a recipient of no readable form',
    said: `${hello}${mail}RCPT TO:<b>\r\nQUIT\r\n`,
    layer: 'recipient',
  },
  {
    label: 'a recipient too many',
    options: { policy: { recipientsMax: 0 } },
    said: `${hello}${mail}RCPT TO:<b@protected.example>\r\nQUIT\r\n`,
    layer: 'recipient',
  },
  { label: 'too many errors', said: 'X\r\n'.repeat(30) },
  { label: 'an endless line', said: 'x'.repeat(2 ** 21) },
  {
    label: 'commands sent ahead',
    options: { policy: { illegalPipelining: enforce } },
    said: `${hello}${mail}`,
  },
  {
    label: 'octets behind STARTTLS',
    options: { policy: { hasCertificate: true } },
    said: `${hello}STARTTLS\r\nNOOP\r\n`,
  },
  { label: 'BDAT that was not offered', options: { offered: [] }, said: `${hello}BDAT 4\r\n` },
]

test.each(refusals)(
  'B24: $label: the reply names its layer and carries the id of the one record',
  ({ options = {}, said, layer = 'protocol' }) => {
    const world = new World(options).send(said)
    const [record] = world.verdicts
    expect(world.verdicts).toHaveLength(1)
    expect(record).toMatchObject({ layer, mailhostReply: '' })
    expect(record?.reply).toMatch(new RegExp(`^[45]\\d\\d [45]\\.\\d\\.\\d ${layer}: .*, id=`))
    expect(world.take()).toContain(`${record?.reply}\r\n`)
    expect(record?.reply.endsWith(`, id=${record.id}`)).toBe(true)
  },
)

test('a connection that has its records gets no id of one that is not written', () => {
  const world = withEnvelope(new World()).send('RSET\r\n')
  world.take()
  world.send('X\r\n'.repeat(30))
  expect(world.take()).toMatch(/\r\n421 4\.7\.0 protocol: too many errors, closing\r\n$/)
  expect(world.verdicts).toHaveLength(1)
})

test('a refusal of the mailhost stands unchanged in reply and record, one of the transfer is ours', () => {
  const refusedBy = (reply: string | Reply) => {
    const world = new World({ recipientReply: () => reply })
    world.send(`${hello}${mail}RCPT TO:<b@protected.example>\r\n`).passes(1_000)
    world.send('QUIT\r\n')
    return world.verdicts.map(({ finding, reply, mailhostReply }) => [
      finding,
      reply,
      mailhostReply,
    ])
  }
  const theirs = '550 5.1.1 no such user'
  expect(refusedBy(theirs)).toEqual([['mailhost-refused', theirs, theirs]])
  const away = { code: 451, enhanced: '4.4.1', lines: ['away'], finding: 'mailhost-away' }
  expect(refusedBy(away)).toEqual([['mailhost-away', '451 4.4.1 transfer: away, id=ID1', '']])
})

test('a mailhost that is lost inside a message has said nothing', () => {
  const world = withEnvelope(new World()).send('DATA\r\n')
  world.send(plainMessage)
  world.journey.onLinkLost(world.nowMs)
  world.take()
  world.send('.\r\n')
  expect(world.take()).toMatch(/^451 4\.4\.1 transfer: .*, id=ID1\r\n$/)
  expect(world.verdicts).toMatchObject([{ finding: 'mailhost-lost', mailhostReply: '' }])
})

test('what the mailhost said of a recipient is not its word on a message that was broken off', () => {
  const unknown = '550 5.1.1 no such user'
  const recipientReply = (argument: string) => (argument.includes('<x@') ? unknown : '250 2.1.5 ok')
  const world = withEnvelope(new World({ recipientReply }))
  world.send('RCPT TO:<x@protected.example>\r\nDATA\r\n').send(plainMessage).lose()
  const record = { finding: 'mailhost-refused', reply: unknown, mailhostReply: '' }
  expect(world.verdicts).toMatchObject([record])
  expect(world.verdicts[0]?.octets).toBeGreaterThan(0)
})
