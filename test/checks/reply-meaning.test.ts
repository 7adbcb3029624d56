import { readFileSync } from 'node:fs'
import { beforeAll, describe, expect, test } from 'vitest'
import { type Meaning, readReply } from '../../src/checks/reply-meaning.ts'
import type { Reply } from '../../src/smtp/reply.ts'
import { ReplyReader } from '../../src/smtp/reply-reader.ts'
import { describeWith, needsSharedData, sharedData } from '../support/needs.ts'

/** The reply of one line; a continuation line stands for the whole reply. */
function replyOf(line: string): Reply {
  const octets = Buffer.from(`${line.slice(0, 3)} ${line.slice(4)}\r\n`, 'latin1')
  const reader = new ReplyReader()
  reader.read(octets, 0, octets.length)
  if (reader.reply === undefined) throw new Error(`no reply: ${line}`)
  return reader.reply
}

function atRecipient(line: string) {
  return readReply('recipient', replyOf(line))
}

describe('B14 what a reply to RCPT says about the address', () => {
  const cases: readonly { line: string; want: Meaning }[] = [
    { line: '250 2.1.5 Ok', want: 'accepts' },
    { line: '251 User not local; will forward to <a@b.example>', want: 'accepts' },
    { line: '252 Cannot VRFY user', want: 'accepts' },
    { line: '450 4.2.0 try later', want: 'try-later' },
    { line: '450 4.1.1 <user@example.org>: Recipient address rejected', want: 'try-later' },
    { line: '421 4.7.0 too many errors', want: 'try-later' },
    { line: '550 5.1.1 <user@example.com>... User Unknown', want: 'no-such-user' },
    { line: '550 5.1.1 User unknown in relay recipient table', want: 'no-such-user' },
    {
      line: '550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found',
      want: 'no-such-user',
    },
    { line: '551 not our customer', want: 'no-such-user' },
    { line: '553 Invalid recipient user@example.net (Mode: normal)', want: 'no-such-user' },
    { line: '550 <user@ezweb.ne.jp>:', want: 'no-such-user' },
    { line: '550 #5.1.0 Address rejected user@mail.goo.ne.jp', want: 'no-such-user' },
    { line: '550 <spamhaus@example.com>: User unknown', want: 'no-such-user' },
    { line: '550 5.7.1 your IP is listed', want: 'refuses-us' },
    {
      line: '550 5.7.1 <user@sfr.fr>: Recipient address rejected: User unknown',
      want: 'refuses-us',
    },
    { line: '553 sorry, recipient is in my badrcptto list (#5.7.1)', want: 'refuses-us' },
    { line: '550 5.1.0 MXIN506 MailFrom domain is listed in Spamhaus.', want: 'refuses-us' },
    { line: '550 5.1.8 Sender address rejected', want: 'refuses-us' },
    { line: '553 5.1.8 <user@example.com>... Domain does not exist', want: 'refuses-us' },
    { line: '550 Connection frequency limited', want: 'refuses-us' },
    { line: '550 mwinf5c04 ME Adresse IP source bloquee pour incident', want: 'refuses-us' },
    { line: '550 Administrative prohibition', want: 'refuses-us' },
    { line: '550 Administratively prohibited', want: 'refuses-us' },
    { line: '550 Our site prohibits mail from you', want: 'refuses-us' },
    { line: '550 rejected by local filter', want: 'refuses-us' },
    { line: '550 Verification failed for your host', want: 'refuses-us' },
    { line: '550 User unknown, rejected by the mailhost', want: 'no-such-user' },
    { line: '550 5.2.2 <user@example.jp>... Mailbox Full', want: 'unclear' },
    { line: '550 5.2.1 <user@example.jp>... User Unknown', want: 'unclear' },
    { line: '552 Too many recipients', want: 'unclear' },
    { line: '554 5.1.1 no such user', want: 'unclear' },
    { line: '530 5.7.0 Must issue a STARTTLS command first', want: 'refuses-us' },
    { line: '550 Requested action not taken: mailbox unavailable', want: 'no-such-user' },
    { line: '550 5.1.1 mailbox unavailable', want: 'no-such-user' },
    {
      line: '550 mailbox unavailable (e.g., mailbox not found, or rejected for policy reasons)',
      want: 'refuses-us',
    },
    { line: '550 mailbox unavailable: bad IP address 192.0.2.1', want: 'refuses-us' },
    { line: '550 mailbox unavailable, try again later', want: 'refuses-us' },
    { line: '550 Mailbox unavailable or greylisted', want: 'refuses-us' },
    { line: '550 5.1.1 mailbox unavailable, access denied', want: 'refuses-us' },
    { line: '550 mailbox unavailable, over quota', want: 'unclear' },
    { line: '550 mailbox unavailable, user unknown at this IP address', want: 'no-such-user' },
    { line: '354 go on', want: 'accepts' },
    { line: '334 ', want: 'unclear' },
  ]
  test.each(cases)('$line → $want', ({ line, want }) => {
    expect(atRecipient(line).meaning).toBe(want)
  })

  test('a refusal before RCPT speaks of us, never of the user', () => {
    const reply = replyOf('550 5.1.1 no such user')
    for (const step of ['greeting', 'hello', 'starttls', 'mail'] as const) {
      expect(readReply(step, reply).meaning).toBe('refuses-us')
    }
  })

  test('a refusal after an accepted RCPT counts only where it names the user', () => {
    expect(readReply('data', replyOf('554 5.5.1 no valid recipients')).meaning).toBe('unclear')
    expect(readReply('data', replyOf('550 5.1.1 unknown')).meaning).toBe('no-such-user')
    expect(readReply('data', replyOf('550 mailbox unavailable')).meaning).toBe('no-such-user')
    expect(readReply('message', replyOf('550 mailbox unavailable: spam')).meaning).toBe('unclear')
    expect(readReply('message', replyOf('550 5.7.1 content')).meaning).toBe('refuses-us')
  })
})

describeWith([needsSharedData()], 'the real replies of remote servers', () => {
  const lines: string[] = []
  beforeAll(() => {
    const path = sharedData('remote-replies/smtp_replies_from_bounces.txt')
    lines.push(...readFileSync(path, 'latin1').split('\n').filter(Boolean))
  })

  test('no temporary reply, no policy and no list is ever read as an unknown user', () => {
    const wrong = lines.filter((line) => {
      if (atRecipient(line).meaning !== 'no-such-user') return false
      const text = line.toLowerCase()
      return (
        line.startsWith('4') ||
        / 5\.7\.|spamhaus|dnsbl|blacklist|blocked|dmarc|spf|banned|frequency|full/.test(text)
      )
    })
    expect(wrong).toEqual([])
  })

  test('every reply that says user unknown with 550, 551, 553 and 5.1.x or no code is found', () => {
    const plain = lines.filter((line) =>
      /^55[013][ -](5\.1\.(1|6|10) |[^5#])?.*(user unknown|unknown user|no such user)/i.test(line),
    )
    const judged = plain.filter((line) => !/ 5\.[2-7]\./.test(line))
    expect(judged.length).toBeGreaterThan(20)
    expect(judged.filter((line) => atRecipient(line).meaning !== 'no-such-user')).toEqual([])
  })

  test('prints the reading of every reply', () => {
    const counts = new Map<Meaning, number>()
    for (const line of lines) {
      const { meaning } = atRecipient(line)
      counts.set(meaning, (counts.get(meaning) ?? 0) + 1)
    }
    console.log('readings', Object.fromEntries(counts))
    expect([...counts.values()].reduce((sum, count) => sum + count, 0)).toBe(lines.length)
  })
})
