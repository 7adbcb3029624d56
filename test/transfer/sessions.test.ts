/**
 * Sessions are few: one cap over all threads, given up while idle, retired after refusals.
 */
import { describe, expect, test } from 'vitest'
import { SessionCap } from '../../src/transfer/session-cap.ts'
import { accepted, envelope, first, policyWith, Scene, second } from './scene.ts'

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

  test('a session for which the engine has no room keeps no place under the cap', () => {
    const cap = new SessionCap(SessionCap.allocate(1), 0)
    const scene = new Scene(policyWith({ sessionsMax: 1 }), cap)
    scene.open(1)
    scene.ends(1)
    const { engine } = scene
    const connect = engine.connect.bind(engine)
    engine.connect = () => {
      throw new Error('no room')
    }
    const client = scene.client()
    expect(() => client.offers('b@y.example')).toThrow('no room')
    client.transfer.abandon()
    engine.connect = connect
    expect(cap.held(first.slot)).toBe(0)
    scene.client().offers('b@y.example')
    scene.open(2)
    expect(engine.take(2)).toBe(envelope)
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
    const client = scene.inData(1)
    client.transfer.body(Buffer.from('half\r\n'))
    client.transfer.abandon()
    expect(scene.engine.of(1).state).toBe('reset')
    expect(scene.engine.take(1)).not.toContain('\r\n.\r\n')
  })

  test('a client that leaves behind the final dot: the delivery stands, the session lives (transfer-036)', () => {
    const scene = new Scene()
    scene.open(1)
    const client = scene.inData(1)
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
