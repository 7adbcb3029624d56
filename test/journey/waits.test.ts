/** How long a client is waited for, and what is done with one that does not wait. */
import { expect, test } from 'vitest'
import type { TestMode } from '../../src/journey/policy.ts'
import { plainMessage, World, withEnvelope } from './world.ts'

const firstCommandMs = 60_000

test('the first command has its time as a whole, however late its first octet comes', () => {
  const world = new World().passes(firstCommandMs - 1_000).send('E')
  for (let at = 0; at < 9; at++) world.passes(100).send('H')
  expect(world.take()).toBe('')
  world.passes(200)
  expect(world.take()).toBe('421 4.4.2 protocol: timeout, closing, id=ID1\r\n')
  expect(world.isClosed).toBe(true)
})

test('under stress too: ten seconds from the greeting', () => {
  const world = new World()
  world.journey.onStress(true, world.nowMs)
  world.passes(9_000).send('EHLO ').passes(900).send('c')
  expect(world.take()).toBe('')
  world.passes(200)
  expect(world.take()).toBe('421 4.4.2 protocol: timeout, closing, id=ID1\r\n')
})

test('a later command line has its own time', () => {
  const world = new World().send('EHLO c.example\r\n').passes(200_000).send('MAIL FROM:')
  world.take()
  world.passes(59_000)
  expect(world.isClosed).toBe(false)
  world.passes(2_000)
  expect(world.take()).toBe('421 4.4.2 protocol: timeout, closing, id=ID1\r\n')
})

test('an over-long line has the time of any line, however slowly its rest drips', () => {
  const world = new World().send('EHLO c.example\r\n').send('x'.repeat(5_000))
  expect(world.take()).toMatch(/\r\n500 5\.5\.2 line too long\r\n$/)
  for (let at = 0; at < 5; at++) world.passes(11_000).send('x')
  expect(world.isClosed).toBe(false)
  world.passes(6_000)
  expect(world.take()).toBe('421 4.4.2 protocol: timeout, closing, id=ID1\r\n')
})

test('a chunk that belongs to no transaction must come as fast as any message', () => {
  const world = new World().send('EHLO c.example\r\n').send('BDAT 100000\r\n')
  world.take()
  for (let at = 0; at < 3; at++) world.passes(50_000).send('x'.repeat(1_024))
  expect(world.isClosed).toBe(false)
  for (let at = 0; at < 3; at++) world.passes(50_000).send('x')
  expect(world.take()).toBe('421 4.4.2 protocol: timeout, closing, id=ID1\r\n')
})

test.each(['BDAT 1\r\nx', 'BDAT 0\r\n', 'NOOP\r\n'])(
  'a message in chunks must come as fast as any, whatever stands between them: %j',
  (word) => {
    const world = withEnvelope(new World())
    world.send('BDAT 14\r\nSubject: x\r\n\r\n').passes(100)
    world.take()
    for (let at = 0; at < 5; at++) world.passes(10_000).send(word)
    expect(world.isClosed).toBe(false)
    world.passes(10_000)
    expect(world.take()).toMatch(/421 4\.4\.2 protocol: timeout, closing, id=ID1\r\n$/)
    expect(world.isClosed).toBe(true)
  },
)

test('a message in chunks that come as fast as any may take many minutes, with silent ones', () => {
  const world = withEnvelope(new World())
  for (let at = 0; at < 6; at++) {
    world.send(`BDAT 2000\r\n${'x'.repeat(1998)}\r\n`).passes(100_000)
  }
  expect(world.isClosed).toBe(false)
  expect(world.take()).toMatch(/(250 2\.0\.0 2000 octets received\r\n){6}$/)
})

test('the end of a client that was silent for too long is not awaited, that of a faulty one is', () => {
  expect(new World().passes(firstCommandMs + 1).isEndAwaited).toBe(false)
  const faulty = new World().send('NONSENSE\r\n'.repeat(20))
  expect(faulty.isClosed).toBe(true)
  expect(faulty.isEndAwaited).toBe(true)
})

test.each(['NOOP', 'RSET', 'EHLO again.example', 'MAIL FROM:<a@x.example>'])(
  'a connection that lasts too long gets 421 at its next command: %s',
  (command) => {
    const world = new World().send('EHLO c.example\r\n')
    for (let at = 0; at < 31; at++) world.passes(240_000).send(at < 30 ? 'VRFY x\r\n' : '')
    world.take()
    world.send(`${command}\r\n`)
    expect(world.take()).toBe('421 4.4.2 protocol: this connection lasts too long, id=ID1\r\n')
    expect(world.verdicts.map(({ finding }) => finding)).toEqual(['session-too-long'])
  },
)

test('a connection that lasts too long finishes its transaction, and may say QUIT', () => {
  const lasting = (world: World) => {
    for (let at = 0; at < 30; at++) world.passes(240_000).send(at < 29 ? 'NOOP\r\n' : '')
    world.take()
    return world.passes(1)
  }
  const busy = lasting(withEnvelope(new World())).send('DATA\r\n').send(`${plainMessage}.\r\n`)
  expect(busy.take()).toMatch(/^354 [^\r]*\r\n250 2\.0\.0 queued\r\n$/)
  expect(lasting(new World().send('EHLO c.example\r\n')).send('QUIT\r\n').take()).toMatch(/^221 /)
})

test.each(['tempfail', 'enforce'] as const)(
  'illegal_pipelining = %s: what is sent behind the final dot does not take its answer away',
  (illegalPipelining: TestMode) => {
    const world = new World({ policy: { illegalPipelining }, offered: [], mailhostMs: () => 1_000 })
    for (const line of ['EHLO c.example', 'MAIL FROM:<a@x.example>']) world.send(`${line}\r\n`)
    world.send('RCPT TO:<b@protected.example>\r\n').passes(5_000).send('DATA\r\n').take()
    world.send(`${plainMessage}.\r\nQUIT\r\n`).passes(5_000)
    expect(world.take()).toMatch(/^250 2\.0\.0 queued\r\n221 /)
    expect(world.delivered).toHaveLength(1)
    expect(world.verdicts.map(({ action }) => action)).toEqual(['pass'])
  },
)
