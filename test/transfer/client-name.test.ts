/**
 * EHLO under the client's name, behind PROXY and XCLIENT, to a mailhost that refuses such names.
 */
import { expect, test } from 'vitest'
import { policyWith, Scene } from './scene.ts'

test.each(['550 no such name', '450 not now'])(
  'PROXY: the client’s name in EHLO answered by %j: ours, then HELO; the mailhost is not away',
  (refusal) => {
    const scene = new Scene(policyWith({ clientIdentity: 'proxy' }))
    scene.open(1)
    const client = Object.assign(scene.client(), { helo: 'client.example' })
    client.offers('b@y.example')
    scene.engine.accept(2)
    scene.says(2, '220 mailhost\r\n')
    scene.engine.take(2)
    scene.says(2, `${refusal}\r\n`)
    expect(scene.engine.take(2)).toBe('EHLO mx.example.test\r\n')
    scene.says(2, '502 what\r\n')
    expect(scene.engine.take(2)).toBe('HELO mx.example.test\r\n')
    scene.says(2, '250 mailhost\r\n')
    expect(scene.engine.take(2)).toBe('MAIL FROM:<a@x.example>\r\n')
    expect(scene.told).toEqual([])
  },
)

test('XCLIENT: the client’s name refused in EHLO, ours taken: the envelope follows', () => {
  const scene = new Scene(policyWith({ clientIdentity: 'xclient' }))
  const hello = '250-mailhost\r\n250-PIPELINING\r\n250 XCLIENT ADDR\r\n'
  scene.open(1, hello)
  Object.assign(scene.client(), { helo: 'client.example' }).offers('b@y.example')
  scene.says(1, '220 mailhost\r\n')
  expect(scene.engine.take(1)).toMatch(/\r\nEHLO client\.example\r\n$/)
  scene.says(1, '501 no such name\r\n')
  expect(scene.engine.take(1)).toBe('EHLO mx.example.test\r\n')
  scene.says(1, hello)
  expect(scene.engine.take(1)).toBe('MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\n')
})
