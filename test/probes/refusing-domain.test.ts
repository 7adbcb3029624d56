/**
 * Whom a refusal by policy is about: the domain that will not speak with us, or one mailbox of it.
 */
import { describe, expect, test } from 'vitest'
import {
  conversationWith,
  honestServer,
  type Server,
  scriptedBroker,
} from '../support/scripted-outside.ts'

const names = { addresses: { 'one.example': ['127.0.4.1'] } }
const modes = { dialup: 'off', relay: 'off', user: 'enforce' } as const
const refusesUs = [{ layer: 'user', outcome: 'indeterminate', name: 'refuses-us' }]

/** Mail to `staff` comes from within; everybody else is served as by the honest server. */
const internalList: Server = (command) =>
  command.startsWith('RCPT') && command.includes('<staff@')
    ? '550 5.7.1 only members may write to this list'
    : honestServer(command)

function refusingAt(word: string): Server {
  return (command) =>
    command.startsWith(word) && (word !== '' || command === '')
      ? '550 5.7.1 your network is not welcome'
      : honestServer(command)
}

describe('a refusal by policy', () => {
  test('of the sender’s mailbox alone is kept for it alone', async () => {
    const { ask, asked } = scriptedBroker({ modes }, names, async (_target, plan) =>
      conversationWith(internalList, plan),
    )
    expect(await ask('127.0.9.1', 'staff@one.example')).toMatchObject(refusesUs)
    expect(await ask('127.0.9.1', 'made-up@one.example')).toMatchObject([
      { layer: 'user', outcome: 'positive', name: 'no-such-user' },
    ])
    expect(await ask('127.0.9.1', 'staff@one.example')).toMatchObject(refusesUs)
    expect(asked).toHaveLength(2)
  })

  const places = [
    { at: 'greeting', word: '' },
    { at: 'EHLO', word: 'EHLO' },
    { at: 'MAIL', word: 'MAIL' },
    { at: 'a recipient that nobody has', word: 'RCPT' },
  ]
  test.each(places)('at $at is the whole domain’s', async ({ word }) => {
    const { ask, asked } = scriptedBroker({ modes }, names, async (_target, plan) =>
      conversationWith(refusingAt(word), plan),
    )
    expect(await ask('127.0.9.1', 'known1@one.example')).toMatchObject(refusesUs)
    expect(await ask('127.0.9.1', 'known2@one.example')).toMatchObject(refusesUs)
    expect(asked).toHaveLength(1)
  })
})
