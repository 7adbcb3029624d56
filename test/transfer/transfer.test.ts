import { describe, expect, test } from 'vitest'
import { SessionCap } from '../../src/transfer/session-cap.ts'
import { ehlo, first, policyWith, Scene, second } from './scene.ts'

const envelope = 'MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\n'
const accepted = '250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n'

describe('a message through a session', () => {
  test('MAIL and RCPT go in one segment; the 250 of the final dot is the answer', () => {
    const scene = new Scene()
    scene.open(1)
    const client = scene.client().offers('b@y.example')
    expect(scene.engine.take(1)).toBe(envelope)
    scene.says(1, accepted)
    client.data()
    expect(scene.engine.take(1)).toBe('DATA\r\n')
    scene.says(1, '354 go on\r\n')
    client.sends('Subject: x\r\n\r\nbody\r\n')
    expect(scene.engine.take(1)).toBe('Subject: x\r\n\r\nbody\r\n.\r\n')
    expect(client.answers).toEqual(['rcpt 250 2.1.5', 'data 354'])
    scene.says(1, '250 2.0.0 queued\r\n')
    expect(client.answers.at(-1)).toBe('delivery 250 2.0.0')
    expect(scene.engine.connections).toBe(1)
  })

  test('the next transaction reuses the session behind RSET', () => {
    const scene = new Scene()
    scene.open(1)
    for (const start of [envelope, `RSET\r\n${envelope}`]) {
      const client = scene.client().offers('b@y.example')
      expect(scene.engine.take(1)).toBe(start)
      scene.says(1, start === envelope ? accepted : `250 Ok\r\n${accepted}`)
      client.data()
      scene.says(1, '354 go on\r\n')
      client.sends('x\r\n')
      scene.says(1, '250 queued\r\n')
      scene.engine.take(1)
      expect(client.answers).toEqual(['rcpt 250 2.1.5', 'data 354', 'delivery 250'])
    }
  })

  test('without PIPELINING each command waits for the reply before it', () => {
    const scene = new Scene()
    scene.open(1, '250 mailhost\r\n')
    const client = scene.client().offers('b@y.example')
    expect(scene.engine.take(1)).toBe('MAIL FROM:<a@x.example>\r\n')
    scene.says(1, '250 Ok\r\n')
    expect(scene.engine.take(1)).toBe('RCPT TO:<b@y.example>\r\n')
    scene.says(1, '250 Ok\r\n')
    expect(client.answers).toEqual(['rcpt 250'])
  })

  test('recipients 1 and 3 accepted, 2 refused: answered in order, delivered to 1 and 3 (transfer-043)', () => {
    const scene = new Scene()
    scene.open(1)
    const client = scene.client().offers('1@y.example', '2@y.example', '3@y.example')
    scene.says(1, '250 Ok\r\n250 1\r\n550 5.1.1 no\r\n250 3\r\n')
    expect(client.answers).toEqual(['rcpt 250', 'rcpt 550 5.1.1', 'rcpt 250'])
  })

  test('a refused MAIL is the answer to every recipient', () => {
    const scene = new Scene()
    scene.open(1)
    const client = scene.client().offers('1@y.example', '2@y.example')
    scene.says(1, '552 5.3.4 too big\r\n503 MAIL first\r\n503 MAIL first\r\n')
    client.offersAlso('3@y.example')
    expect(client.answers).toEqual(['rcpt 552 5.3.4', 'rcpt 552 5.3.4', 'rcpt 552 5.3.4'])
  })

  test('451 after the final dot goes back as it is, and nothing is sent again (transfer-033)', () => {
    const scene = new Scene()
    scene.open(1)
    const client = scene.client().offers('b@y.example')
    scene.says(1, accepted)
    client.data()
    scene.says(1, '354 go on\r\n')
    client.sends('x\r\n')
    scene.engine.take(1)
    scene.says(1, '451 4.3.0 disk full\r\n')
    scene.pass(5_000)
    expect(client.answers.at(-1)).toBe('delivery 451 4.3.0')
    expect(scene.engine.take(1)).toBe('')
  })
})

describe('client identity', () => {
  test('XFORWARD with IPV6: where due, in the same segment', () => {
    const scene = new Scene(policyWith({ clientIdentity: 'xforward' }))
    scene.open(1)
    const client = scene.client('2001:db8::7')
    Object.assign(client, { helo: 'mail=x.example', protocol: 'ESMTP' })
    client.offers('b@y.example')
    expect(scene.engine.take(1)).toBe(
      'XFORWARD NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::7 PORT=4321 PROTO=ESMTP HELO=mail+3Dx.example SOURCE=REMOTE\r\n' +
        envelope,
    )
    scene.says(1, `250 Ok\r\n${accepted}`)
    expect(client.answers).toEqual(['rcpt 250 2.1.5'])
  })

  test('a mailhost that offers no XFORWARD: told once', () => {
    const scene = new Scene(policyWith({ clientIdentity: 'xforward' }))
    scene.open(1, '250-mailhost\r\n250 PIPELINING\r\n')
    scene.client().offers('b@y.example')
    expect(scene.engine.take(1)).toBe(envelope)
    expect(scene.told).toEqual(['offers no XFORWARD: it learns of clients from Received: alone'])
  })

  test('XCLIENT, then EHLO again, then the envelope', () => {
    const scene = new Scene(policyWith({ clientIdentity: 'xclient' }))
    scene.open(1, '250-mailhost\r\n250-PIPELINING\r\n250 XCLIENT ADDR HELO PROTO\r\n')
    scene.client().offers('b@y.example')
    expect(scene.engine.take(1)).toBe('XCLIENT ADDR=198.51.100.7 HELO=[UNAVAILABLE] PROTO=SMTP\r\n')
    scene.says(1, '220 mailhost\r\n')
    expect(scene.engine.take(1)).toBe('EHLO mx.example.test\r\n')
    scene.says(1, '250-mailhost\r\n250-PIPELINING\r\n250 XCLIENT ADDR HELO PROTO\r\n')
    expect(scene.engine.take(1)).toBe(envelope)
  })

  const names = { 'c.example': 'c.example', '[192.0.2.7]': '[192.0.2.7]', 'a b': 'mx.example.test' }
  test.each(Object.entries(names))('EHLO behind XCLIENT is the client’s: %j', (helo, said) => {
    const scene = new Scene(policyWith({ clientIdentity: 'xclient' }))
    scene.open(1, '250-mailhost\r\n250 XCLIENT ADDR\r\n')
    Object.assign(scene.client(), { helo }).offers('b@y.example')
    scene.says(1, '220 mailhost\r\n')
    expect(scene.engine.take(1)).toMatch(`\r\nEHLO ${said}\r\n`)
  })

  test.each(['', '250-PIPELINING\r\n'])(
    'XCLIENT on a session used before, offered: %j',
    (offer) => {
      const hello = `250-mailhost\r\n${offer}250 XCLIENT ADDR\r\n`
      const scene = new Scene(policyWith({ clientIdentity: 'xclient', sessionsMax: 1 }))
      scene.open(1, hello)
      let said = ''
      // Answers whatever is said, a command at a time, until nothing more is.
      const answerAll = () => {
        for (let text = scene.engine.take(1); text !== ''; text = scene.engine.take(1)) {
          said += text
          for (const line of text.split('\r\n').slice(0, -1)) {
            if (line.startsWith('XCLIENT')) scene.says(1, '220 mailhost\r\n')
            else if (line.startsWith('EHLO')) scene.says(1, hello)
            else if (line === 'DATA') scene.says(1, '354 go on\r\n')
            else if (/^(MAIL|RCPT|RSET|\.$)/.test(line)) scene.says(1, '250 2.0.0 Ok\r\n')
          }
        }
      }
      for (let number = 1; number <= 2; number++) {
        const client = scene.client().offers('b@y.example')
        answerAll()
        client.data()
        answerAll()
        client.sends('x\r\n')
        answerAll()
        expect(client.answers.at(-1)).toBe('delivery 250 2.0.0')
      }
      const verbs = said.split('\r\n').map((line) => line.split(/[ :]/)[0])
      const one = ['XCLIENT', 'EHLO', 'MAIL', 'RCPT', 'DATA', 'x', '.']
      expect(verbs).toEqual([...one, 'RSET', ...one, ''])
    },
  )

  test('PROXY: a connection for each client, the header before the greeting', () => {
    const scene = new Scene(policyWith({ clientIdentity: 'proxy' }))
    scene.engine.accept(1)
    expect(scene.engine.take(1)).toBe('PROXY TCP4 192.0.2.1 192.0.2.1 25 25\r\n')
    scene.says(1, '220 mailhost ESMTP\r\n')
    scene.engine.take(1)
    scene.says(1, ehlo)
    expect(scene.engine.take(1)).toBe('QUIT\r\n')
    const client = Object.assign(scene.client(), { helo: 'client.example' })
    client.offers('b@y.example')
    scene.engine.accept(2)
    expect(scene.engine.take(2)).toBe('PROXY TCP4 198.51.100.7 203.0.113.5 4321 25\r\n')
    scene.says(2, '220 mailhost\r\n')
    expect(scene.engine.take(2)).toBe('EHLO client.example\r\n')
    scene.says(2, ehlo)
    expect(scene.engine.take(2)).toBe(envelope)
  })
})

describe('trouble with the mailhost', () => {
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
    const client = scene.client().offers('b@y.example')
    scene.says(1, accepted)
    client.data()
    scene.says(1, '354 go on\r\n')
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
      const client = scene.client().offers('b@y.example')
      scene.says(1, accepted)
      client.data()
      scene.says(1, '354 go on\r\n')
      client.sends('x\r\n')
      scene.pass(minutes * 60_000)
      scene.says(1, '250 queued\r\n')
      expect(client.answers.at(-1)).toBe(answer)
    }
  })
})

describe('sessions are few', () => {
  test('the cap holds over all threads; who waits too long gets 451 4.3.2', () => {
    const memory = SessionCap.allocate(2)
    const policy = policyWith({ sessionsMax: 2 })
    const one = new Scene(policy, new SessionCap(memory, 0))
    const two = new Scene(policy, new SessionCap(memory, 1))
    one.open(1)
    two.open(1)
    one.client().offers('b@y.example')
    const waiting = one.client().offers('b@y.example')
    expect(one.engine.connections).toBe(1)
    one.pass(5_500)
    expect(waiting.answers).toEqual(['rcpt 451 4.3.2'])
  })

  test('a thread with spare sessions gives them up to one that waits', () => {
    const memory = SessionCap.allocate(2)
    const policy = policyWith({ sessionsMax: 1 })
    const one = new Scene(policy, new SessionCap(memory, 0))
    one.open(1)
    const two = new Scene(policy, new SessionCap(memory, 1))
    two.client().offers('b@y.example')
    two.pass(250)
    one.pass(250)
    expect(one.engine.take(1)).toBe('QUIT\r\n')
    two.pass(250)
    two.open(1)
    expect(two.engine.take(1)).toBe(envelope)
  })

  test('a thread that died gives back what it held', () => {
    const memory = SessionCap.allocate(2)
    const cap = new SessionCap(memory, 0)
    expect([cap.take(0, 2), cap.take(0, 2), cap.take(0, 2)]).toEqual([true, true, false])
    new SessionCap(memory, 1).forget(0)
    expect(cap.held(0)).toBe(0)
  })

  test('a session whose client idles goes to another; the envelope is replayed at DATA', () => {
    const scene = new Scene(policyWith({ sessionsMax: 1 }))
    scene.open(1)
    const slow = scene.client().offers('b@y.example')
    scene.says(1, accepted)
    scene.engine.take(1)
    const quick = scene.client().offers('c@y.example')
    expect(scene.engine.take(1)).toContain('RSET\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<c@y.')
    scene.says(1, `250 Ok\r\n${accepted}`)
    quick.data()
    slow.data()
    scene.says(1, '354 go on\r\n')
    scene.engine.take(1)
    quick.sends('x\r\n')
    scene.says(1, '250 queued\r\n')
    expect(scene.engine.take(1)).toContain(`RSET\r\n${envelope}`)
    scene.says(1, `250 Ok\r\n${accepted}`)
    expect(scene.engine.take(1)).toBe('DATA\r\n')
    expect(slow.answers).toEqual(['rcpt 250 2.1.5'])
  })

  test('after a second of silence the session is given up by RSET', () => {
    const scene = new Scene()
    scene.open(1)
    scene.client().offers('b@y.example')
    scene.says(1, accepted)
    scene.engine.take(1)
    scene.pass(1_500)
    expect(scene.engine.take(1)).toBe('RSET\r\n')
  })

  test('release gives the session up while a question runs', () => {
    const scene = new Scene()
    scene.open(1)
    const client = scene.client().offers('b@y.example')
    scene.says(1, accepted)
    scene.engine.take(1)
    client.transfer.release()
    expect(scene.engine.take(1)).toBe('RSET\r\n')
    scene.says(1, '250 Ok\r\n')
    client.data()
    expect(scene.engine.take(1)).toBe(envelope)
  })

  test('five refusals retire a session', () => {
    const scene = new Scene()
    scene.open(1)
    const client = scene.client().offers('1@y', '2@y', '3@y', '4@y', '5@y')
    scene.says(1, `250 Ok\r\n${'550 no\r\n'.repeat(5)}`)
    scene.engine.take(1)
    client.transfer.abandon()
    scene.says(1, '250 Ok\r\n')
    expect(scene.engine.take(1)).toBe('RSET\r\nQUIT\r\n')
    expect(scene.engine.of(1).state).toBe('closed')
  })

  test('a client that leaves inside DATA: the session is reset and no final dot was sent', () => {
    const scene = new Scene()
    scene.open(1)
    const client = scene.client().offers('b@y.example')
    scene.says(1, accepted)
    client.data()
    scene.says(1, '354 go on\r\n')
    client.transfer.body(Buffer.from('half\r\n'))
    client.transfer.abandon()
    expect(scene.engine.of(1).state).toBe('reset')
    expect(scene.engine.take(1)).not.toContain('\r\n.\r\n')
  })

  test('a client that leaves behind the final dot: the delivery stands, the session lives (transfer-036)', () => {
    const scene = new Scene()
    scene.open(1)
    const client = scene.client().offers('b@y.example')
    scene.says(1, accepted)
    client.data()
    scene.says(1, '354 go on\r\n')
    client.sends('x\r\n')
    client.transfer.abandon()
    scene.says(1, '250 queued\r\n')
    expect(scene.engine.of(1).state).toBe('open')
    expect(client.answers.at(-1)).toBe('data 354')
  })
})

describe('routes and capabilities', () => {
  test('a recipient of another route in the same transaction: 451 4.5.3, in its turn', () => {
    const other = { mailhosts: [second] }
    const scene = new Scene(policyWith({ domainRoutes: new Map([['*.z.example', other]]) }))
    scene.open(1)
    const client = scene.client().offers('b@y.example', 'c@sub.z.example', 'd@y.example')
    expect(client.answers).toEqual([])
    scene.says(1, '250 Ok\r\n250 b\r\n250 d\r\n')
    expect(client.answers).toEqual(['rcpt 250', 'rcpt 451 4.5.3', 'rcpt 250'])
  })

  test('only what every mailhost offers is offered, and the smallest size', () => {
    const scene = new Scene(policyWith({ route: { mailhosts: [first, second] } }))
    expect(scene.pool.capabilities.offered.size).toBe(0)
    scene.open(1)
    scene.open(2, '250-other\r\n250-SIZE 5000\r\n250-DSN\r\n250 8BITMIME\r\n')
    expect([...scene.pool.capabilities.offered].sort()).toEqual(['8BITMIME', 'SIZE'])
    expect(scene.pool.capabilities.sizeMax).toBe(5000)
  })

  test('a broken session makes the pool ask again', () => {
    const scene = new Scene()
    scene.open(1)
    scene.ends(1)
    scene.pass(250)
    scene.open(2, '250-mailhost\r\n250 DSN\r\n')
    expect([...scene.pool.capabilities.offered]).toEqual(['DSN'])
  })
})
