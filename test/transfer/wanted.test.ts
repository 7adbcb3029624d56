/**
 * A session that is to be given back is given back between two transactions, and no other with it.
 */
import { expect, test } from 'vitest'
import { accepted, type Client, Scene } from './scene.ts'

/** Two sessions: the first inside the body of a slow client's message, the second unused. */
function sceneWithSlowClient(): { scene: Scene; slow: Client } {
  const scene = new Scene()
  scene.open(1)
  const slow = scene.inData(1)
  const quick = scene.client().offers('c@y.example')
  scene.open(2)
  scene.says(2, accepted)
  quick.transfer.abandon()
  scene.says(2, '250 Ok\r\n')
  scene.engine.take(2)
  return { scene, slow }
}

test('a session that was kept for long ends behind its transaction; an unused one stays', () => {
  const { scene, slow } = sceneWithSlowClient()
  scene.wanted.add(1)
  scene.pass(5_000)
  expect([scene.engine.of(1).state, scene.engine.of(2).state]).toEqual(['open', 'open'])
  const other = scene.client().offers('d@y.example')
  scene.says(2, accepted)
  other.transfer.abandon()
  scene.says(2, '250 Ok\r\n')
  expect(scene.engine.of(2).state).toBe('open')
  slow.sends('x\r\n')
  scene.says(1, '250 queued\r\n')
  expect(slow.answers.at(-1)).toBe('delivery 250')
  expect([scene.engine.of(1).state, scene.engine.of(2).state]).toEqual(['closed', 'open'])
})

test('an unused session that was kept for long ends with the next sweep', () => {
  const { scene } = sceneWithSlowClient()
  scene.wanted.add(2)
  scene.pass(250)
  expect([scene.engine.of(1).state, scene.engine.of(2).state]).toEqual(['open', 'closed'])
})
