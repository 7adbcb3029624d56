/**
 * Fail-over between the mailhosts of a route: away, silent, back again.
 */
import { expect, test } from 'vitest'
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
