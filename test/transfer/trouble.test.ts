/**
 * Mailhosts that are away, break off, talk nonsense or take their time: what the client hears.
 */
import { expect, test } from 'vitest'
import { accepted, envelope, first, policyWith, Scene, second } from './scene.ts'

test('refused connection: 451 4.4.1; it recovers by itself (transfer-044)', () => {
  const scene = new Scene()
  const early = scene.client().offers('b@y.example')
  scene.ends(1)
  expect(early.answers).toEqual(['rcpt 451 4.4.1'])
  expect(scene.client().offers('b@y.example').answers).toEqual(['rcpt 451 4.4.1'])
  const away = 'cannot be reached; mail waits with its senders'
  expect(scene.told).toEqual([away])
  scene.pass(1_000)
  scene.open(2)
  expect(scene.told).toEqual([away, 'is back'])
  scene.client().offers('b@y.example')
  expect(scene.engine.take(2)).toBe(envelope)
})

test('fail-over in order: the second mailhost when the first is away', () => {
  const scene = new Scene(policyWith({ route: { mailhosts: [first, second] } }))
  scene.client().offers('b@y.example')
  scene.ends(1)
  expect(scene.engine.of(2).address).toBe(second.address)
  scene.open(2)
  expect(scene.engine.take(2)).toBe(envelope)
})

test('a session lost before DATA: the envelope is replayed on another', () => {
  const scene = new Scene()
  scene.open(1)
  const client = scene.client().offers('b@y.example')
  scene.says(1, accepted)
  scene.ends(1)
  client.data()
  scene.open(2)
  expect(scene.engine.take(2)).toBe(envelope)
  scene.says(2, accepted)
  expect(scene.engine.take(2)).toBe('DATA\r\n')
  expect(client.answers).toEqual(['rcpt 250 2.1.5'])
})

test.each([
  ['closes when it is used again', (scene: Scene, id: number) => scene.ends(id)],
  ['answers RSET with 421', (scene: Scene, id: number) => scene.says(id, '421 4.4.2 idle\r\n')],
  [
    'answers RSET and MAIL, then closes',
    (scene: Scene, id: number) => {
      scene.says(id, '250 Ok\r\n250 Ok\r\n')
      scene.ends(id)
    },
  ],
])('a mailhost that %s costs one try, however many sessions lie idle', (_label, breaks) => {
  const scene = new Scene(policyWith({ sessionsMax: 8 }))
  scene.open(1)
  const ids = [1, 2, 3, 4, 5]
  const used = ids.map((id) => {
    const client = scene.client().offers('b@y.example')
    if (id > 1) scene.open(id)
    scene.says(id, accepted)
    return client
  })
  used.forEach((client, at) => {
    const id = ids[at] ?? 0
    client.data()
    scene.says(id, '354 go on\r\n')
    client.sends('x\r\n')
    scene.says(id, '250 queued\r\n')
    scene.engine.take(id)
  })
  const client = scene.client().offers('b@y.example')
  const reused = ids.filter((id) => scene.engine.take(id).startsWith('RSET'))
  expect(reused).toHaveLength(1)
  breaks(scene, reused[0] ?? 0)
  scene.open(6)
  expect(scene.engine.take(6)).toBe(envelope)
  scene.says(6, accepted)
  client.data()
  scene.says(6, '354 go on\r\n')
  client.sends('x\r\n')
  scene.says(6, '250 queued\r\n')
  expect(client.answers).toEqual(['rcpt 250 2.1.5', 'data 354', 'delivery 250'])
})

test('a replay that the mailhost refuses is a temporary failure, never a smaller delivery', () => {
  const scene = new Scene()
  scene.open(1)
  const client = scene.client().offers('1@y.example', '2@y.example')
  scene.says(1, '250 Ok\r\n250 1\r\n250 2\r\n')
  scene.ends(1)
  client.data()
  scene.open(2)
  scene.says(2, '250 Ok\r\n250 1\r\n550 no\r\n')
  expect(client.answers.at(-1)).toBe('data 451 4.3.0')
  expect(scene.engine.take(2)).not.toContain('DATA')
})

test('a recipient whose answer was given up is not offered again: answers stay with their own', () => {
  const scene = new Scene()
  scene.open(1)
  const client = scene.client().offers('1@y.example')
  scene.says(1, accepted)
  client.offersAlso('2@y.example')
  client.transfer.release()
  client.offersAlso('3@y.example')
  scene.open(2)
  expect(scene.engine.take(2)).toBe(
    'MAIL FROM:<a@x.example>\r\nRCPT TO:<1@y.example>\r\nRCPT TO:<3@y.example>\r\n',
  )
  scene.says(2, '250 Ok\r\n250 1\r\n550 3\r\n')
  expect(client.answers).toEqual(['rcpt 250 2.1.5', 'rcpt 550'])
})

test('a reload amid the envelope: recipients of the same mailhost go on in it', () => {
  const scene = new Scene()
  scene.open(1)
  const client = scene.client().offers('1@y.example')
  scene.says(1, accepted)
  scene.pool.configure(policyWith({ route: { mailhosts: [{ ...first }] } }))
  client.offersAlso('2@y.example')
  scene.says(1, '250 2\r\n')
  scene.pool.configure(policyWith({ route: { mailhosts: [second] } }))
  client.offersAlso('3@y.example')
  expect(client.answers).toEqual(['rcpt 250 2.1.5', 'rcpt 250', 'rcpt 451 4.5.3'])
})

test('354 and 250 together: no early 250 for the client (transfer-039)', () => {
  const scene = new Scene()
  scene.open(1)
  const client = scene.client().offers('b@y.example')
  scene.says(1, accepted)
  client.data()
  scene.says(1, '354 go on\r\n250 queued\r\n')
  expect(client.answers.slice(1)).toEqual(['data 354', 'lost'])
  client.sends('x\r\n')
  expect(client.answers.at(-1)).toBe('delivery 451 4.4.2')
  expect(scene.engine.of(1).state).toBe('reset')
  expect(scene.engine.take(1)).not.toContain('\r\n.\r\n')
})

test('a session lost behind the final dot: 451, and the message is not sent again', () => {
  const scene = new Scene()
  scene.open(1)
  const client = scene.inData(1)
  client.sends('x\r\n')
  scene.ends(1)
  expect(client.answers.at(-1)).toBe('delivery 451 4.4.2')
})

test('a mailhost that answers nonsense is dropped', () => {
  const scene = new Scene()
  scene.open(1)
  const client = scene.client().offers('b@y.example')
  scene.says(1, 'hello?\r\n')
  expect(scene.engine.of(1).state).toBe('reset')
  scene.open(2)
  scene.says(2, 'again?\r\n')
  scene.open(3)
  scene.says(3, '250-a\r\n')
  scene.says(3, '550 b\r\n')
  expect(client.answers).toEqual(['rcpt 451 4.4.2'])
})

test('"25", "0 ok" in two segments and 2,000 lines are read (transfer-040)', () => {
  const scene = new Scene()
  scene.open(1)
  const client = scene.client().offers('b@y.example')
  scene.says(1, '25')
  scene.says(1, '0 ok\r\n')
  scene.says(1, `${'250-more\r\n'.repeat(1999)}250 done\r\n`)
  expect(client.answers).toEqual(['rcpt 250'])
})

test('a reply to the final dot may take 9.5 minutes (transfer-034), not more than 10', () => {
  for (const [minutes, answer] of [
    [9.5, 'delivery 250'],
    [10.1, 'delivery 451 4.4.2'],
  ] as const) {
    const scene = new Scene()
    scene.open(1)
    const client = scene.inData(1)
    client.sends('x\r\n')
    scene.pass(minutes * 60_000)
    scene.says(1, '250 queued\r\n')
    expect(client.answers.at(-1)).toBe(answer)
  }
})

test.each([
  ['a message', 5, 'lost'],
  ['what stands before the final dot', 10, 'delivery 451 4.4.2'],
])(
  'a mailhost that goes on taking %s has its wait anew; one that stops has not',
  (what, minutes, end) => {
    const scene = new Scene()
    scene.open(1)
    const client = scene.inData(1)
    scene.engine.take(1)
    scene.engine.isOpenForMore = what !== 'a message'
    if (what === 'a message') client.transfer.body(Buffer.alloc(100, 'x'))
    else client.sends('x'.repeat(100))
    const heard = client.answers.length
    const connection = scene.engine.of(1)
    for (let times = 0; times < 20; times++) {
      scene.pass((minutes - 0.5) * 60_000)
      connection.sent = connection.sent.slice(1)
    }
    expect(client.answers).toHaveLength(heard)
    scene.pass((minutes + 0.5) * 60_000)
    expect(client.answers.at(-1)).toBe(end)
    expect(connection.state).toBe('reset')
  },
)

test.each([
  ['<a@x.example> SIZE=9 SMTPUTF8', '<b@y.example>'],
  ['<a@x.example> RET=HDRS', '<b@y.example>'],
  ['<a@x.example>', '<b@y.example> NOTIFY=NEVER'],
  ['<a@x.example> ENVID=a>b', '<b@y.example>'],
  ['<a@x.example>', '<b@y.example> ORCPT=rfc822;b>'],
  ['<"a>b"@x.example> RET=HDRS', '<b@y.example>'],
])(
  'not offered by the mailhost that gets it: MAIL %s RCPT %s is 451, not its 555',
  (mail, rcpt) => {
    const scene = new Scene()
    scene.open(1)
    const client = scene.client()
    client.transfer.begin(mail, 'c.example', 'ESMTP')
    client.offersLine(rcpt)
    expect(client.answers).toEqual(['rcpt 451 4.3.0'])
    client.data()
    expect(client.answers.at(-1)).toBe('data 451 4.3.0')
    expect(scene.engine.take(1)).toBe('RSET\r\n')
    client.transfer.abandon()
    scene.says(1, '250 ok\r\n')
    const other = scene.client()
    other.transfer.begin('<a@x.example> SIZE=9 BODY=8BITMIME', 'c.example', 'ESMTP')
    other.offersLine('<b@y.example>')
    scene.says(1, accepted)
    // One that is not offered leaves the others.
    other.offersLine('<c@y.example> ORCPT=rfc822;c')
    expect(other.answers).toEqual(['rcpt 250 2.1.5', 'rcpt 451 4.3.0'])
    other.data()
    expect(scene.engine.take(1)).toContain('DATA\r\n')
  },
)

test('a mailhost that offers less stands in behind the client’s RCPT: 451 at DATA', () => {
  const scene = new Scene(policyWith({ route: { mailhosts: [first, second] } }))
  scene.open(1)
  scene.open(2, '250-poor\r\n250 PIPELINING\r\n')
  const client = scene.client()
  client.transfer.begin('<a@x.example> BODY=8BITMIME', 'c.example', 'ESMTP')
  client.offersLine('<b@y.example>')
  scene.says(1, accepted)
  scene.ends(1)
  client.data()
  scene.ends(3)
  expect(client.answers).toEqual(['rcpt 250 2.1.5', 'data 451 4.3.0'])
  expect(scene.engine.take(2)).not.toContain('MAIL')
})
