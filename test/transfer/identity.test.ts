/**
 * How the mailhost learns who the client is: XFORWARD, XCLIENT, PROXY.
 */
import { expect, test } from 'vitest'
import { accepted, ehlo, envelope, policyWith, Scene } from './scene.ts'

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

test.each(['', '250-PIPELINING\r\n'])('XCLIENT on a session used before, offered: %j', (offer) => {
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
})

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

test('PROXY: a client that begins anew opens no connection in nobody’s name beside its last one', () => {
  const scene = new Scene(policyWith({ clientIdentity: 'proxy' }))
  scene.open(1)
  const client = scene.client().offers('b@y.example')
  scene.open(2)
  scene.says(2, accepted)
  client.transfer.abandon()
  client.offers('c@y.example')
  scene.pass(500)
  expect(scene.engine.opened).toHaveLength(2)
  scene.says(2, '250 Ok\r\n')
  expect(scene.engine.of(2).state).toBe('closed')
  scene.engine.accept(3)
  expect(scene.engine.take(3)).toBe('PROXY TCP4 198.51.100.7 203.0.113.5 4321 25\r\n')
})

test('PROXY: a client does not wait for the connection of one that has left', () => {
  const scene = new Scene(policyWith({ clientIdentity: 'proxy' }))
  scene.open(1)
  const gone = scene.client().offers('b@y.example')
  gone.transfer.abandon()
  scene.client('198.51.100.8').offers('c@y.example')
  scene.engine.accept(3)
  expect(scene.engine.take(3)).toBe('PROXY TCP4 198.51.100.8 203.0.113.5 4321 25\r\n')
})
