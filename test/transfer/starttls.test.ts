import { describe, expect, test } from 'vitest'
import { tlsPlainMs } from '../../src/base/limits.ts'
import type { TransferPolicy } from '../../src/transfer/mailhost.ts'
import { accepted, envelope, policyWith, Scene } from './scene.ts'

const offer = '250-mailhost\r\n250-PIPELINING\r\n250 STARTTLS\r\n'

/** A scene whose engine knows TLS; `shake` ends the handshake that was begun last. */
function sceneWith(tls: TransferPolicy['tls']) {
  const scene = new Scene(policyWith({ tls, transactionsPerSessionMax: 0 }))
  const handshakes: ((fault: string) => void)[] = []
  scene.engine.startTls = (_id, done) => handshakes.push(done)
  const shake = (fault: string): void => handshakes.at(-1)?.(fault)
  return { scene, handshakes, shake }
}

/** Opens a session over TLS: the envelope goes out behind the second EHLO only. */
function opensSecurely({ scene, shake }: ReturnType<typeof sceneWith>, id: number): void {
  scene.open(id, offer)
  expect(scene.engine.take(id)).toBe('STARTTLS\r\n')
  scene.says(id, '220 go ahead\r\n')
  expect(scene.engine.take(id)).toBe('')
  shake('')
  expect(scene.engine.take(id)).toBe('EHLO mx.example.test\r\n')
  scene.says(id, '250-mailhost\r\n250 PIPELINING\r\n')
}

describe('opportunistic TLS to the mailhost', () => {
  test('454 to STARTTLS: plain text on the same session, and TLS again after a minute', () => {
    const world = sceneWith('opportunistic')
    const { scene, handshakes } = world
    scene.open(1, offer)
    expect(scene.engine.take(1)).toBe('STARTTLS\r\n')
    scene.says(1, '454 4.7.0 not now\r\n')
    const client = scene.client().offers('b@y.example')
    expect(scene.engine.take(1)).toBe(envelope)
    scene.says(1, accepted)
    // Another session within the minute asks for nothing.
    scene.client().offers('c@y.example')
    scene.open(2, offer)
    expect(scene.engine.take(2)).toContain('MAIL FROM')
    client.data()
    scene.says(1, '354 go on\r\n')
    client.sends('x\r\n')
    scene.engine.take(1)
    scene.pass(tlsPlainMs)
    scene.says(1, '250 queued\r\n')
    expect(client.answers).toEqual(['rcpt 250 2.1.5', 'data 354', 'delivery 250'])
    // The session in plain text is given back, however much it might still carry.
    expect(scene.engine.take(1)).toBe('QUIT\r\n')
    expect(handshakes).toHaveLength(0)
    scene.ends(2)
    scene.client().offers('d@y.example')
    opensSecurely(world, 3)
    expect(scene.engine.take(3)).toContain('MAIL FROM')
  })

  test('a handshake that fails: plain text at once for who waits, and TLS again after a minute', () => {
    const world = sceneWith('opportunistic')
    const { scene, shake } = world
    const client = scene.client().offers('b@y.example')
    scene.open(1, offer)
    scene.says(1, '220 go ahead\r\n')
    shake('certificate of nobody')
    expect(scene.engine.of(1).state).toBe('reset')
    scene.open(2, offer)
    expect(scene.engine.take(2)).toBe(envelope)
    scene.says(2, accepted)
    expect(client.answers).toEqual(['rcpt 250 2.1.5'])
    scene.ends(2)
    scene.pass(tlsPlainMs)
    opensSecurely(world, 3)
  })

  test('no STARTTLS offered: plain text', () => {
    const { scene } = sceneWith('opportunistic')
    scene.open(1, '250-mailhost\r\n250 PIPELINING\r\n')
    scene.client().offers('b@y.example')
    expect(scene.engine.take(1)).toBe(envelope)
  })
})

describe('required TLS to the mailhost', () => {
  test('TLS before the envelope', () => {
    const world = sceneWith('required')
    world.scene.client().offers('b@y.example')
    opensSecurely(world, 1)
    expect(world.scene.engine.take(1)).toBe(envelope)
  })

  test.each([
    ['STARTTLS is not offered', '250-mailhost\r\n250 PIPELINING\r\n', '', 0],
    ['454 to STARTTLS', offer, '454 4.7.0 not now\r\n', 0],
    ['502 to STARTTLS', offer, '502 5.5.2 no\r\n', 0],
    ['octets behind the 220', offer, '220 go ahead\r\n250-mailhost\r\n', 1],
    ['a whole reply behind the 220', offer, '220 go ahead\r\n250 mailhost\r\n', 1],
    ['a handshake that fails', offer, '220 go ahead\r\n', 1],
  ])('%s: the session ends without a word in plain text', (_label, keywords, answer, begun) => {
    const { scene, handshakes, shake } = sceneWith('required')
    const client = scene.client().offers('b@y.example')
    for (const id of [1, 2]) {
      scene.open(id, keywords)
      const asked = scene.engine.take(id)
      expect(asked).toBe(keywords === offer ? 'STARTTLS\r\n' : '')
      if (answer !== '') scene.says(id, answer)
      shake('failed')
      expect(scene.engine.of(id).state).toBe('reset')
      expect(scene.engine.take(id)).toBe('')
      expect(handshakes).toHaveLength(begun * id)
      scene.pass(2_000)
    }
    expect(client.answers).toEqual(['rcpt 451 4.4.1'])
  })

  test('octets behind the 220 of a mailhost with opportunistic TLS end the session too', () => {
    const { scene, shake } = sceneWith('opportunistic')
    scene.open(1, offer)
    scene.says(1, '220 go ahead\r\n250 mailhost\r\n')
    shake('')
    expect(scene.engine.of(1).state).toBe('reset')
    scene.pass(2_000)
    scene.open(2, offer)
    expect(scene.engine.take(2)).toBe('STARTTLS\r\n')
  })
})

test.each([
  ['requires TLS', { tls: 'required' }],
  ['changes whom sessions trust', { trust: 'another authority' }],
] as const)('a reload that %s: sessions of before carry no more', (_label, change) => {
  const { scene } = sceneWith('off')
  scene.open(1)
  const client = scene.client().offers('b@y.example')
  scene.says(1, accepted)
  scene.client().offers('c@y.example')
  scene.open(2)
  scene.engine.take(2)
  scene.says(2, accepted)
  client.data()
  scene.says(1, '354 go on\r\n')
  scene.pool.configure(policyWith(change))
  client.sends('x\r\n')
  scene.engine.take(1)
  scene.says(1, '250 queued\r\n')
  // The transaction that ran when the reload came has ended well, and its session with it.
  expect(client.answers.at(-1)).toBe('delivery 250')
  expect(scene.engine.take(1)).toBe('QUIT\r\n')
  scene.pass(2_000)
  expect(scene.engine.take(2)).toBe('RSET\r\n')
  scene.says(2, '250 ok\r\n')
  expect(scene.engine.take(2)).toBe('QUIT\r\n')
})

test('a reload that changes nothing of the sessions leaves them', () => {
  const { scene } = sceneWith('off')
  scene.open(1)
  scene.pool.configure(policyWith({ waitMs: 1_000 }))
  scene.client().offers('b@y.example')
  expect(scene.engine.take(1)).toBe(envelope)
})
