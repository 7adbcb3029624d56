/**
 * One reply for each command, in the order of the commands, also where a stage answers by itself
 * while the mailhost or a test still owes an answer.
 */
import { expect, test } from 'vitest'
import { World, withEnvelope } from './world.ts'

test('an over-long line behind RCPT waits for the mailhost’s answer to that RCPT', () => {
  const world = new World({ mailhostMs: () => 50 })
  world.send('EHLO c\r\nMAIL FROM:<a@client.example>\r\n').take()
  world.send(`RCPT TO:<victim@protected.example>\r\n${'x'.repeat(3000)}\r\nNOOP\r\n`)
  expect(world.take()).toBe('')
  world.passes(60)
  expect(world.take()).toBe('250 2.1.5 ok\r\n500 5.5.2 line too long\r\n250 2.0.0 ok\r\n')
})

const openRelay = { layer: 'relay', outcome: 'positive', name: 'open-relay', evidence: [] } as const

function refusedAtData(): World {
  const relay = { mode: 'enforce', indeterminate: 'pass' } as const
  const world = new World({ policy: { testsAt: 'data', relay }, examine: () => [openRelay] })
  return withEnvelope(world)
}

test('a chunk that the tests refuse gets one reply, behind its octets, and the mailhost no DATA', () => {
  const world = refusedAtData().send('BDAT 12\r\nSubject: x\r\n')
  expect(world.take()).toMatch(/^550 5\.7\.1 relay: [^\r]*\r\n$/)
  world.send('BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n')
  expect(world.take()).toBe('503 5.5.1 MAIL and RCPT come first\r\n250 2.0.0 ok\r\n')
  expect(world.verdicts.map(({ finding }) => finding)).toEqual(['open-relay'])
  expect(world.calls).not.toContain('data')
})

test('a client that stops inside such a chunk: the record says what it was told', () => {
  const world = refusedAtData().send('BDAT 12\r\nSub')
  world.passes(200_000)
  expect(world.take()).toBe('421 4.4.2 protocol: timeout, closing, id=ID1\r\n')
  expect(world.verdicts.map(({ reply }) => reply)).toEqual([
    '421 4.4.2 protocol: timeout, closing, id=ID1',
  ])
})

test('a chunk larger than any message may be is refused once, whatever the tests would say', () => {
  const world = refusedAtData().send('BDAT 400000000\r\n')
  expect(world.take()).toBe('552 5.3.4 protocol: chunk larger than any message may be, id=ID1\r\n')
  expect(world.verdicts.map(({ finding }) => finding)).toEqual(['message-too-large'])
})
