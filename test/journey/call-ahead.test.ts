/**
 * Call-ahead with a deferred answer: a recipient that is not there is no way round the tests for
 * those that are.
 */
import { describe, expect, test } from 'vitest'
import type { Finding } from '../../src/checks/finding.ts'
import { plainMessage, World } from './world.ts'

const noSuchRecipient: Finding = {
  layer: 'recipient',
  outcome: 'positive',
  name: 'no-such-user',
  evidence: [],
}
const forged: Finding = { layer: 'user', outcome: 'positive', name: 'no-such-user', evidence: [] }
const openRelay: Finding = { layer: 'relay', outcome: 'positive', name: 'open-relay', evidence: [] }
const enforce = { mode: 'enforce', indeterminate: 'pass' } as const

/** Call-ahead knows that nobody is not there; behind it the tests find `found`. */
function deferredWorld(found: readonly Finding[], answerMs: number): World {
  return new World({
    policy: { testsAt: 'rcpt', user: enforce, relay: enforce },
    isProvisional: true,
    examineMs: () => answerMs,
    examine: ({ recipient }) => (recipient.startsWith('nobody') ? [noSuchRecipient] : found),
    recipientReply: (argument) =>
      argument.includes('nobody') ? '550 5.1.1 no such user' : '250 2.1.5 ok',
  })
}

function openEnvelope(world: World, ...recipients: string[]): World {
  world.send('EHLO client.example\r\nMAIL FROM:<a@client.example>\r\n').take()
  for (const name of recipients) world.send(`RCPT TO:<${name}@protected.example>\r\n`)
  return world
}

describe('a deferred client names a recipient that is not there first, then one that is', () => {
  test('both are answered at once, and DATA waits for the tests of the one that is', () => {
    const world = openEnvelope(deferredWorld([forged], 50), 'nobody', 'ann')
    expect(world.take()).toBe('550 5.1.1 no such user\r\n250 2.1.5 ok\r\n')
    world.send('DATA\r\n')
    expect(world.take()).toBe('')
    world.passes(60)
    expect(world.take()).toBe('')
    world.passes(60)
    expect(world.take()).toMatch(/^550 5\.1\.8 user: /)
    expect(world.questions.map(({ recipient }) => recipient)).toEqual([
      'nobody@protected.example',
      '',
    ])
    expect(world.verdicts).toMatchObject([{ layer: 'user', finding: 'no-such-user' }])
    expect(world.isClosed).toBe(true)
    expect(world.calls).not.toContain('data')
  })

  test('the same where the answer came before DATA', () => {
    const world = openEnvelope(deferredWorld([openRelay], 50), 'nobody', 'ann').passes(60)
    world.take()
    world.send('DATA\r\n').passes(60)
    expect(world.take()).toMatch(/^550 5\.7\.1 relay: /)
    expect(world.calls).not.toContain('data')
  })

  test('the same with BDAT', () => {
    const world = openEnvelope(deferredWorld([openRelay], 50), 'nobody', 'ann')
    world.take()
    world.send('BDAT 12 LAST\r\nSubject: x\r\n').passes(200)
    expect(world.take()).toMatch(/^550 5\.7\.1 relay: /)
    expect(world.calls).not.toContain('data')
  })

  test('a sender that passes is delivered, after one further question', () => {
    const world = openEnvelope(deferredWorld([], 50), 'nobody', 'ann')
    world.send('DATA\r\n').passes(200).take()
    world.send(`${plainMessage}.\r\n`).rest()
    expect(world.delivered.map(({ recipients }) => recipients)).toEqual([
      ['<ann@protected.example>'],
    ])
    expect(world.questions).toHaveLength(2)
  })

  test('what call-ahead said of the first is not told to a later recipient', () => {
    const world = openEnvelope(deferredWorld([], 50), 'nobody', 'ann').passes(60)
    world.take()
    world.send('RCPT TO:<bob@protected.example>\r\n').passes(60)
    expect(world.take()).toBe('250 2.1.5 ok\r\n')
  })
})

test('postmaster beside a recipient that is not there is asked nothing further', () => {
  const world = openEnvelope(deferredWorld([forged], 50), 'nobody', 'postmaster').passes(60)
  world.take()
  world.send('DATA\r\n')
  expect(world.take()).toMatch(/^354/)
  expect(world.questions).toHaveLength(1)
})

test('a client that is not deferred hears it at RCPT, and the next recipient begins the tests', () => {
  const world = new World({
    policy: { testsAt: 'rcpt', user: enforce },
    examine: ({ recipient }) => (recipient.startsWith('nobody') ? [noSuchRecipient] : [forged]),
  })
  openEnvelope(world, 'nobody')
  expect(world.take()).toMatch(/^550 5\.1\.1 recipient: /)
  world.send('RCPT TO:<ann@protected.example>\r\n')
  expect(world.take()).toMatch(/^550 5\.1\.8 user: /)
  expect(world.calls.filter((call) => call.startsWith('recipient'))).toEqual([])
})
