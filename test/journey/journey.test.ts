/** What the journey does with late, doubled and failing events, and with the pace of others. */
import { expect, test } from 'vitest'
import { stashLargeBlocksHeldMax, stashOctetsHigh, stashOctetsLow } from '../../src/base/limits.ts'
import { compilePolicy, Journey } from '../../src/journey/journey.ts'
import type { TestMode } from '../../src/journey/policy.ts'
import { giveStash, takeStash } from '../../src/journey/stash.ts'
import { scanBodyByteLoop } from '../../src/smtp/body-scanner.ts'
import { octetsOf } from '../../src/smtp/octets.ts'
import { parseReply, plainMessage, testPolicy, World, withEnvelope } from './world.ts'

test('late and doubled events change nothing', () => {
  const world = withEnvelope(new World()).send('DATA\r\n').send(`${plainMessage}.\r\n`)
  const { journey } = world
  for (let i = 0; i < 2; i++) {
    journey.onRecipientReply(parseReply('250 2.1.5 ok'), world.nowMs)
    journey.onDataReply(parseReply('354 go'), world.nowMs)
    journey.onDeliveryReply(parseReply('250 2.0.0 queued'), world.nowMs)
    journey.onAnswer({ question: 'examine', findings: [] }, world.nowMs)
    journey.onAnswer({ question: 'trusted-name', findings: [] }, world.nowMs)
    journey.onDeferred(world.nowMs)
    journey.onLinkLost(world.nowMs)
    journey.onTransferDrain(world.nowMs)
    journey.onDrain(world.nowMs)
    journey.onTlsEstablished('TLSv1.3', world.nowMs)
  }
  expect(world.take()).toBe('354 end with <CRLF>.<CRLF>\r\n250 2.0.0 queued\r\n')
  world.lose().lose()
  journey.onBytes(octetsOf('NOOP\r\n'), 0, 6, world.nowMs)
  journey.onEnd(world.nowMs)
  expect(world.take()).toBe('')
  expect(world.verdicts.length).toBe(1)
})

test('a bug of ours ends this connection with 421 4.3.0 and a record', () => {
  const world = withEnvelope(
    new World({
      dataReply: () => {
        throw new Error('a port broke')
      },
    }),
  )
  world.journey.onDataReply(parseReply('354 early'), world.nowMs)
  const broken = new World({ scanBody: () => Number(undefined) })
  withEnvelope(broken).send('DATA\r\n')
  expect(broken.take()).toBe('354 end with <CRLF>.<CRLF>\r\n')
  const failing = withEnvelope(
    new World({
      scanBody: () => {
        throw new Error('the scanner broke')
      },
    }),
  )
  failing.send('DATA\r\n').take()
  failing.send('Subject: x\r\n')
  expect(failing.take()).toBe('421 4.3.0 protocol: internal error, closing, id=ID1\r\n')
  expect(failing.isClosed).toBe(true)
  expect(failing.verdicts.map(({ finding, action }) => `${action} ${finding}`)).toEqual([
    'tempfail internal-error',
  ])
})

test('the mailhost’s pace is the client’s: paused while it takes nothing, resumed after', () => {
  let isSlow = true
  const world = withEnvelope(new World({ isSlowMailhost: () => isSlow, mailhostMs: () => 10 }))
  world.passes(100).take()
  world.send('DATA\r\n').send('Subject: x\r\n\r\n').passes(9).send('line\r\n')
  world.passes(1)
  expect(world.isPaused).toBe(true)
  isSlow = false
  world.passes(20)
  expect(world.isPaused).toBe(false)
  world.send('.\r\n').passes(100)
  expect(world.delivered[0]?.octets).toBe('Subject: x\r\n\r\nline\r\n')
})

/** Sends a message before the mailhost answers DATA, until paused. @returns octets of its body. */
function fillStash(world: World): number {
  world.passes(2000).take()
  world.send('DATA\r\n').send('Subject: x\r\n\r\n')
  const line = `${'x'.repeat(1022)}\r\n`
  let octets = 0
  while (!world.isPaused) {
    world.send(line)
    octets += line.length
  }
  return octets
}

test('while many long messages wait at once each keeps less', () => {
  const others = Array.from({ length: stashLargeBlocksHeldMax + 1 }, () =>
    takeStash(stashOctetsHigh),
  )
  const octets = fillStash(withEnvelope(new World({ mailhostMs: () => 1000 })))
  for (const other of others) giveStash(other)
  expect(octets).toBeLessThanOrEqual(stashOctetsLow + 1024)
})

test('what is kept for a mailhost that has not answered DATA is bounded: the client is paused', () => {
  const world = withEnvelope(new World({ mailhostMs: () => 1000 }))
  const octets = fillStash(world)
  expect(octets).toBeLessThanOrEqual(stashOctetsHigh + 1024)
  world.passes(1000)
  expect(world.isPaused).toBe(false)
  world.send('.\r\n').passes(2000)
  expect(world.delivered[0]?.octets.length).toBe(octets + 14)
})

test('input that comes while an answer is outstanding is bounded: the client is paused', () => {
  const world = new World({ mailhostMs: () => 1000, policy: { errorsMax: 10_000 } })
  world.send('EHLO c\r\n').send('MAIL FROM:<a@x.example>\r\nRCPT TO:<v@protected.example>\r\n')
  for (let i = 0; i < 2000 && !world.isPaused; i++) world.send('NOOP\r\n')
  expect(world.isPaused).toBe(true)
  world.passes(1000)
  expect(world.isPaused).toBe(false)
})

test('a client that takes no replies gets no further command executed', () => {
  let isSlow = true
  const world = new World({ isSlowClient: () => isSlow })
  world.send('NOOP\r\nNOOP\r\nNOOP\r\n')
  expect(world.take()).toBe('250 2.0.0 ok\r\n')
  isSlow = false
  world.passes(5)
  expect(world.take()).toBe('250 2.0.0 ok\r\n250 2.0.0 ok\r\n')
})

test('a message larger than the limit is dropped, refused at its end, and never delivered', () => {
  const world = withEnvelope(new World({ policy: { sizeOctetsMax: 1000 } })).send('DATA\r\n')
  world.take()
  world.send(`Subject: x\r\n\r\n${'x\r\n'.repeat(500)}`)
  expect(world.take()).toBe('')
  world.send('.\r\nNOOP\r\n')
  expect(world.take()).toBe(
    '552 5.3.4 protocol: larger than 1000 octets, id=ID1\r\n250 2.0.0 ok\r\n',
  )
  expect(world.delivered).toEqual([])
})

test('a client that goes on beyond twice the limit is refused and closed', () => {
  const world = withEnvelope(new World({ policy: { sizeOctetsMax: 1000 } })).send('DATA\r\n')
  for (let i = 0; i < 10 && !world.isClosed; i++) world.send('x'.repeat(400))
  expect(world.isClosed).toBe(true)
  expect(world.take()).toMatch(/552 5\.3\.4 protocol: larger than 1000 octets, id=ID1\r\n$/)
  expect(world.verdicts.length).toBe(1)
})

test('shutdown: an idle connection gets 421 at once, a running transaction ends first', () => {
  const idle = new World().send('EHLO c\r\n')
  idle.take()
  idle.journey.onShutdown(idle.nowMs)
  expect(idle.take()).toBe('421 4.3.2 shutting down\r\n')
  const busy = withEnvelope(new World())
  busy.journey.onShutdown(busy.nowMs)
  busy.send('DATA\r\n').send(`${plainMessage}.\r\n`)
  expect(busy.take()).toMatch(/250 2\.0\.0 queued\r\n421 4\.3\.2 shutting down\r\n$/)
  expect(busy.delivered.length).toBe(1)
})

test('a link lost inside the message: 451 at its end, nothing delivered, the next one goes', () => {
  const world = withEnvelope(new World()).send('DATA\r\n').send('Subject: x\r\n\r\nhalf')
  world.take()
  world.journey.onLinkLost(world.nowMs)
  world.send(' more\r\n.\r\n')
  expect(world.take()).toMatch(/^451 4\.4\.1 /)
  expect(world.verdicts[0]?.finding).toBe('mailhost-lost')
  withEnvelope(world).send('DATA\r\n').send(`${plainMessage}.\r\n`)
  expect(world.delivered.length).toBe(1)
})

test('stress mode shortens the wait that is running', () => {
  const compiled = compilePolicy(testPolicy, scanBodyByteLoop)
  const deadlines: number[] = []
  const world = new World()
  const journey = new Journey(
    compiled,
    {
      ...portsOf(world),
      client: { ...portsOf(world).client, deadline: (ms) => deadlines.push(ms) },
    },
    {
      address: '192.0.2.7',
      port: 1,
      isTrusted: false,
      verdictClass: 0,
      isEarlyTalker: false,
      acceptedAtMs: 0,
    },
  )
  journey.onOpen(0)
  journey.onStress(true, 1000)
  journey.onStress(false, 2000)
  expect(deadlines).toEqual([60_000, 9_000, 58_000])
})

test('under stress: fewer errors are borne, and a message stated large is put off', () => {
  const world = new World({ policy: { stressErrorsMax: 2, stressSizeOctetsMax: 1000 } })
  world.send('EHLO c\r\n').take()
  world.journey.onStress(true, world.nowMs)
  world.send('MAIL FROM:<a@x.example> SIZE=1001\r\n')
  expect(world.take()).toMatch(/^452 4\.3\.1 protocol: too busy for more than 1000 octets/)
  expect(world.verdicts).toMatchObject([{ action: 'tempfail', finding: 'message-too-large' }])
  world.send('NONSENSE\r\nNONSENSE\r\n')
  expect(world.take()).toMatch(/421 4\.7\.0 protocol: too many errors, closing\r\n$/)
})

test('silence counts from accept: a client whose first sign of life is its deadline is closed', () => {
  const world = new World({ client: { acceptedAtMs: 1_000_000 - 60_000 } })
  world.journey.onDeadline(world.nowMs)
  expect(world.take()).toBe('421 4.4.2 protocol: timeout, closing, id=ID1\r\n')
})

test('commands sent ahead: off, observed, put off or refused; never of a trusted host', () => {
  const ahead = (illegalPipelining: TestMode, isTrusted: boolean) => {
    const world = new World({ policy: { illegalPipelining }, client: { isTrusted } })
    world.send('EHLO c.example\r\nMAIL FROM:<a@x.example>\r\n')
    return world.take().replaceAll(/250[- ].*\r\n/g, '')
  }
  const text = 'protocol: commands sent ahead of our reply, closing, id=ID1\r\n'
  expect(ahead('off', false)).toBe('')
  expect(ahead('observe', false)).toBe('')
  expect(ahead('tempfail', false)).toBe(`421 4.5.1 ${text}`)
  expect(ahead('enforce', false)).toBe(`554 5.5.1 ${text}`)
  expect(ahead('enforce', true)).toBe('')
})

test('B24: the record says how the client spoke', () => {
  const spoken = (hello: string) => {
    const world = new World().send(`${hello} c.example\r\nMAIL FROM:<a@x.example>\r\nQUIT\r\n`)
    return world.verdicts.map(({ protocol }) => protocol)
  }
  expect(spoken('HELO')).toEqual(['SMTP'])
  expect(spoken('EHLO')).toEqual(['ESMTP'])
  const secured = new World({ policy: { hasCertificate: true } }).send('EHLO c\r\nSTARTTLS\r\n')
  secured.journey.onTlsEstablished('TLSv1.3 X', secured.nowMs)
  secured.send('EHLO c\r\n').send('MAIL FROM:<a@x.example>\r\n').send('QUIT\r\n')
  expect(secured.verdicts.map(({ protocol }) => protocol)).toEqual(['ESMTPS'])
})

test('a client that falls silent inside TLS is let go like any other', () => {
  const world = new World({ policy: { hasCertificate: true } }).send('EHLO c\r\nSTARTTLS\r\n')
  world.passes(10_000)
  world.journey.onTlsEstablished('TLSv1.3 X', world.nowMs)
  world.send('EHLO c\r\n').take()
  world.passes(299_000)
  expect(world.take()).toBe('')
  world.passes(2000)
  expect(world.take()).toBe('421 4.4.2 protocol: timeout, closing, id=ID1\r\n')
})

test('our Received field stands first and names client, protocol and id', () => {
  const world = new World({ client: { address: '2001:db8::7' } })
  withEnvelope(world).send('DATA\r\n').send(`${plainMessage}.\r\n`)
  expect(world.delivered[0]?.received).toBe(
    'Received: from client.example ([IPv6:2001:db8::7])\r\n' +
      '\tby mx.protected.example with ESMTP id ID1;\r\n' +
      '\tThu, 1 Jan 1970 00:16:40 +0000\r\n',
  )
})

test.each([1, 2, 3, 1000, 16_384])(
  'a long message passes unseen in reads of %d octets and arrives whole',
  (size) => {
    const world = new World()
    withEnvelope(world).send('DATA\r\n')
    const line = `..${'x'.repeat(70)}\r\n`
    const text = `${plainMessage}${line.repeat(500)}`
    world.send(text)
    const rest = `${line.repeat(200)}\r\n.\r\n`
    for (let at = 0; at < rest.length; at += size) world.send(rest.slice(at, at + size))
    expect(world.octetsPassed).toBeGreaterThan(size > rest.length ? -1 : 1000)
    expect(world.delivered[0]?.octets).toBe(`${text}${rest.slice(0, -3)}`)
    expect(world.verdicts[0]?.octets).toBe(text.length + rest.length - 3)
  },
)

test.each([
  ['refuse', '554'],
  ['normalise', '250'],
] as const)('a stray octet behind what passed: %s', (stray, code) => {
  const world = new World({ policy: { stray } })
  withEnvelope(world).send('DATA\r\n')
  const text = `${plainMessage}${'line of text\r\n'.repeat(4000)}`
  world.send(text).send('plain\r\n').send('plain\r\n').send('a\nb\r\n').send('.\r\n')
  expect(world.octetsPassed).toBe(7)
  expect(world.take()).toContain(`${code} `)
  expect(world.delivered.map(({ octets }) => octets)).toEqual(
    stray === 'refuse' ? [] : [`${text}plain\r\nplain\r\na\r\nb\r\n`],
  )
})

test('what passes unseen counts for the size limit and for the rate', () => {
  const world = new World({ sizeMax: 70_000 })
  withEnvelope(world).send('DATA\r\n')
  world.send(`${plainMessage}${'line of text\r\n'.repeat(4000)}`)
  for (let at = 0; at < 10; at++) world.passes(30_000).send('x'.repeat(1200).concat('\r\n'))
  expect(world.isClosed).toBe(false)
  expect(world.octetsPassed).toBeGreaterThan(1200)
  world.send('x'.repeat(6000)).send('\r\n.\r\n')
  expect(world.take()).toContain('552 5.3.4')
  expect(world.delivered).toEqual([])
})

test('a client that was paused for a slow mailhost has a whole minute when it may go on', () => {
  let isSlow = false
  const mailhostMs = () => (isSlow ? 300_000 : 0)
  const world = withEnvelope(new World({ isSlowMailhost: () => isSlow, mailhostMs }))
  world.send('DATA\r\n').send('Subject: x\r\n\r\n').passes(30_000)
  isSlow = true
  world.send('a line\r\n')
  expect(world.isPaused).toBe(true)
  isSlow = false
  world.passes(300_000 + 50_000)
  expect([world.isPaused, world.isClosed]).toEqual([false, false])
  world.send('.\r\n')
  expect(world.take()).toContain('250 2.0.0 queued')
})

test('a message of just the permitted size is taken, however its end is cut', () => {
  const text = `${plainMessage}${'line of text\r\n'.repeat(100)}`
  for (let cut = 0; cut <= 5; cut++) {
    const world = new World({ sizeMax: text.length })
    withEnvelope(world).send('DATA\r\n')
    const whole = `${text}.\r\n`
    world.send(whole.slice(0, whole.length - cut)).send(whole.slice(whole.length - cut))
    expect(world.take(), `cut ${cut} before the end`).toContain('250 2.0.0 queued')
    expect(world.verdicts[0]?.octets).toBe(text.length)
  }
})

test('a mailhost that takes a long message slowly is not one that is silent', () => {
  let isSlow = false
  const world = new World({ isSlowMailhost: () => isSlow, mailhostMs: () => (isSlow ? 5000 : 0) })
  withEnvelope(world).send('DATA\r\n').send(plainMessage)
  // A stall of 5 s every half minute, also later than the longest silence of a mailhost.
  for (let minute = 0; minute < 15; minute++) {
    isSlow = true
    world.send('line of text\r\n'.repeat(100)).passes(5000)
    isSlow = false
    world.send('line of text\r\n'.repeat(100)).passes(55_000)
  }
  world.send('.\r\n').passes(0)
  expect(world.take()).toContain('250 2.0.0 queued')
  expect(world.delivered).toHaveLength(1)
})

/** Ports that nobody looks at. */
function portsOf(_world: World): ConstructorParameters<typeof Journey>[1] {
  const nothing = (): void => {}
  return {
    client: {
      reply: () => true,
      pause: nothing,
      resume: nothing,
      passBody: nothing,
      deadline: nothing,
      close: nothing,
      startTls: nothing,
    },
    transfer: {
      begin: nothing,
      recipient: nothing,
      release: nothing,
      data: nothing,
      body: () => true,
      bodyForward: () => true,
      endOfData: nothing,
      abandon: nothing,
    },
    offers: { offered: new Set(), sizeMax: 0 },
    questions: { trustedName: nothing, examine: nothing, forget: nothing },
    lists: { isWhitelisted: () => false, listsOf: () => [] },
    records: { verdict: nothing, finding: nothing, newId: () => 'ID', wallMs: () => 0 },
  }
}
