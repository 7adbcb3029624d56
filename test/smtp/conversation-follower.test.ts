import { expect, test } from 'vitest'
import { ConversationFollower } from '../../src/smtp/conversation-follower.ts'

interface Step {
  readonly from: 'client' | 'server'
  readonly text: string
}

const client = (text: string): Step => ({ from: 'client', text })
const server = (text: string): Step => ({ from: 'server', text })

/** Plays the steps cut into pieces of `size`; gives what reached the server, and the follower. */
function play(steps: readonly Step[], size: number) {
  const follower = new ConversationFollower()
  let passed = ''
  for (const { from, text } of steps) {
    for (let at = 0; at < text.length; at += size) {
      const piece = Buffer.from(text.slice(at, at + size), 'latin1')
      if (from === 'server') follower.server(piece)
      else passed += Buffer.from(follower.client(piece)).toString('latin1')
    }
  }
  return { follower, passed }
}

const envelope = [
  client('EHLO c\r\n'),
  server('250-s\r\n250 PIPELINING\r\n'),
  client('MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n'),
  server('250 ok\r\n250 ok\r\n354 go\r\n'),
]

const cases = [
  {
    label: 'a message, then QUIT',
    steps: [
      ...envelope,
      client('Subject: x\r\n\r\nQUIT\r\n..\r\n.\r\n'),
      server('250 ok\r\n'),
      client('QUIT\r\n'),
    ],
    want: { hasQuit: true, awaited: 0, isAtRest: true },
  },
  {
    label: 'QUIT pipelined behind the message: its reply is still awaited',
    steps: [...envelope, client('QUIT\r\n.\r\nQUIT\r\n')],
    want: { hasQuit: true, awaited: 1, isAtRest: false },
  },
  {
    label: 'a message cut off',
    steps: [...envelope, client('QUIT\r\nQUIT\r\n')],
    want: { hasQuit: false, awaited: 1, isAtRest: false },
  },
  {
    label: 'DATA refused: QUIT is a command again',
    steps: [client('DATA\r\n'), server('503 no\r\n'), client('quit\r\n')],
    want: { hasQuit: true, awaited: 0, isAtRest: true },
  },
  {
    label: 'white space before DATA: QUIT is the message’s',
    steps: [
      client(' DATA\r\n'),
      server('354 go\r\n'),
      client('QUIT\r\nAUTH LOGIN\r\n.\r\n'),
      server('250 ok\r\n'),
    ],
    want: { hasQuit: false, awaited: 0, isAtRest: true },
  },
  {
    label: 'an empty message',
    steps: [...envelope, client('.\r\n'), server('250 ok\r\n')],
    want: { hasQuit: false, awaited: 0, isAtRest: true },
  },
  {
    label: 'BDAT chunks that say QUIT',
    steps: [
      client('BDAT 6\r\nQUIT\r\nBDAT 0 LAST\r\n'),
      server('250 ok\r\n250 ok\r\n'),
      client('QUIT\r\n'),
    ],
    want: { hasQuit: true, awaited: 0, isAtRest: true },
  },
  {
    label: 'half a command',
    steps: [client('EHLO c')],
    want: { hasQuit: false, awaited: 0, isAtRest: false },
  },
]

for (const { label, steps, want } of cases) {
  test(`${label}, whole and in pieces of every size`, () => {
    for (const size of [1000, 1, 2, 3, 5, 7]) {
      const { follower } = play(steps, size)
      const { hasQuit, awaited, isAtRest } = follower
      expect({ hasQuit, awaited, isAtRest }).toEqual(want)
    }
  })
}

test('what the client says before QUIT goes on unchanged, the QUIT and what is behind it does not', () => {
  const said = 'NOOP\r\nQUITE\r\nqui\r\nRSET\r\n'
  for (const size of [1000, 1, 2, 3, 4, 5, 7, 11]) {
    const { passed } = play([client(`${said}Quit \r\nMAIL FROM:<>\r\n`)], size)
    expect(passed).toBe(said)
  }
})

test('white space before a command changes nothing: QUIT stays here, AUTH is personal', () => {
  for (const size of [1000, 1, 2, 3, 4]) {
    const said = ' \tAUTH PLAIN AGEAYg==\r\n'
    const { passed, follower } = play([client(`${said} \tQuit\r\n`)], size)
    expect(passed).toBe(said)
    expect(follower).toMatchObject({ hasQuit: true, isPersonal: true })
  }
})

test('a server that speaks no SMTP is told', () => {
  expect(new ConversationFollower().server(Buffer.from('hello\r\n'))).toBe(false)
})
