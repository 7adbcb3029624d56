/**
 * Fail-over between the mailhosts of a route: away, silent, back again.
 */
import { expect, test } from 'vitest'
import { SessionCap } from '../../src/transfer/session-cap.ts'
import { ehlo, first, policyWith, Scene, second } from './scene.ts'

const both = { route: { mailhosts: [first, second] } }

test('a mailhost that accepts and says nothing: who waited goes to the next one', () => {
  const scene = new Scene(policyWith(both))
  const [mute, well] = scene.engine.opened
  scene.open(well?.id ?? 0)
  scene.engine.accept(mute?.id ?? 0)
  const client = scene.client().offers('b@example.test')
  scene.pass(4_000)
  expect(client.answers).toEqual([])
  scene.pass(2_000)
  expect(scene.engine.take(well?.id ?? 0)).toContain('RCPT TO:<b@example.test>')
  scene.says(well?.id ?? 0, '250 ok\r\n250 ok\r\n')
  expect(client.answers).toEqual(['rcpt 250'])
})

test('which threads find a mailhost away is told, until it is back or the thread has died', () => {
  const memory = SessionCap.allocate(2)
  const main = new SessionCap(memory, 0)
  const scenes = [0, 1].map((thread) => new Scene(policyWith(both), new SessionCap(memory, thread)))
  for (const scene of scenes) scene.ends(scene.engine.opened[0]?.id ?? 0)
  expect([main.awayIn(first.slot), main.awayIn(second.slot)]).toEqual([2, 0])
  const [one] = scenes
  one?.pass(2_000)
  one?.open(one.engine.opened.at(-1)?.id ?? 0)
  expect(main.awayIn(first.slot)).toBe(1)
  main.forget(1)
  expect(main.awayIn(first.slot)).toBe(0)
})

test('a mailhost that failed is tried again in the background; nobody waits for it', () => {
  const scene = new Scene(policyWith({ ...both, idleMs: 1_000_000 }))
  const [mute, well] = scene.engine.opened
  scene.open(well?.id ?? 0)
  scene.engine.accept(mute?.id ?? 0)
  // Silent for longer than a session may take to open, and again each time it is tried.
  for (let tries = 0; tries < 3; tries++) {
    scene.pass(14_000)
    const latest = scene.engine.opened.filter(({ address }) => address === first.address).at(-1)
    scene.engine.accept(latest?.id ?? 0)
    scene.engine.take(well?.id ?? 0)
    const client = scene.client().offers(`b${tries}@example.test`)
    expect(scene.engine.take(well?.id ?? 0)).toContain(`RCPT TO:<b${tries}@example.test>`)
    scene.says(well?.id ?? 0, '250 ok\r\n250 ok\r\n')
    expect(client.answers).toEqual(['rcpt 250'])
    client.transfer.abandon()
    scene.says(well?.id ?? 0, '250 ok\r\n')
  }
  // It answers again: the sweep has asked it, and it is the first choice as before.
  for (let at = 0; at < 100; at++) {
    scene.pass(250)
    const latest = scene.engine.opened.filter(({ address }) => address === first.address).at(-1)
    if (latest?.state !== 'open') continue
    scene.open(latest.id)
    scene.client().offers('last@example.test')
    if (scene.engine.take(latest.id).includes('RCPT TO:<last@example.test>')) return
  }
  expect.unreachable('the first mailhost was never used again')
})

test('every mailhost silent: 451 4.4.1, not for ever', () => {
  const scene = new Scene(policyWith(both))
  for (const { id } of scene.engine.opened) scene.engine.accept(id)
  const client = scene.client().offers('b@example.test')
  scene.pass(12_000)
  expect(client.answers).toEqual(['rcpt 451 4.4.1'])
})

test('the cap taken by other threads is no reason to go elsewhere: 451 4.3.2', () => {
  const scene = new Scene(policyWith({ ...both, sessionsMax: 1 }))
  const [one, other] = scene.engine.opened
  scene.open(one?.id ?? 0, ehlo)
  scene.open(other?.id ?? 0, ehlo)
  const holder = scene.client().offers('a@example.test')
  scene.says(one?.id ?? 0, '250 ok\r\n250 ok\r\n')
  holder.data()
  const client = scene.client().offers('b@example.test')
  scene.pass(6_000)
  expect(client.answers).toEqual(['rcpt 451 4.3.2'])
})

test('mailhosts that accept and say nothing, out of step: each is waited for once', () => {
  const scene = new Scene(policyWith(both))
  const acceptAll = () => {
    for (const { id, state } of scene.engine.opened) if (state === 'open') scene.engine.accept(id)
  }
  const [, other] = scene.engine.opened
  scene.engine.accept(1)
  scene.pass(4_000)
  // The second is tried anew later than the first.
  scene.ends(other?.id ?? 0)
  scene.pass(3_000)
  const client = scene.client().offers('b@example.test')
  for (let passedMs = 0; passedMs < 11_000; passedMs += 250) {
    acceptAll()
    scene.pass(250)
  }
  expect(client.answers).toEqual(['rcpt 451 4.4.1'])
})

test('the last client has gone: sessions that are being opened are given up, untold', () => {
  const scene = new Scene(policyWith(both))
  const [greets, connects] = scene.engine.opened
  scene.engine.accept(greets?.id ?? 0)
  scene.pool.retire()
  expect([greets?.state, connects?.state]).toEqual(['reset', 'reset'])
  expect(scene.pool.sessions).toBe(0)
  scene.pass(20_000)
  expect(scene.engine.opened).toHaveLength(2)
  expect(scene.told).toEqual([])
})

test('a session that is ready after all have gone is given back', () => {
  const scene = new Scene()
  scene.open(1)
  scene.client().offers('a@example.test')
  const waiting = scene.client().offers('b@example.test')
  expect(scene.engine.opened).toHaveLength(2)
  scene.pool.retire()
  expect(scene.engine.opened[1]?.state).toBe('open')
  waiting.transfer.abandon()
  scene.open(2)
  expect(scene.engine.take(2)).toBe('QUIT\r\n')
  expect(scene.pool.sessions).toBe(1)
})

test('a reload leaves out a mailhost that has not answered: the start waits for it no more', () => {
  const scene = new Scene(policyWith(both))
  let isAsked = false
  scene.pool.whenAsked(() => {
    isAsked = true
  })
  scene.open(1)
  expect(isAsked).toBe(false)
  scene.pool.configure(policyWith())
  expect(scene.engine.opened[1]?.state).toBe('reset')
  expect(isAsked).toBe(true)
})
