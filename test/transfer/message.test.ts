/**
 * A message through a session to the mailhost, and what the mailhost answers.
 */
import { expect, test } from 'vitest'
import { accepted, envelope, Scene } from './scene.ts'

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
  const client = scene.inData(1)
  client.sends('x\r\n')
  scene.engine.take(1)
  scene.says(1, '451 4.3.0 disk full\r\n')
  scene.pass(5_000)
  expect(client.answers.at(-1)).toBe('delivery 451 4.3.0')
  expect(scene.engine.take(1)).toBe('')
})
