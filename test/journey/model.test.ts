/**
 * Random orders of commands against a small reference model of RFC 5321's states: the class of
 * every reply, and that state is reset after every refusal, RSET, hello and end of message.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { World } from './world.ts'

type Command = 'EHLO' | 'MAIL' | 'BADMAIL' | 'RCPT' | 'FOREIGN' | 'REFUSED' | 'DATA' | 'BDAT'
type Other = 'LAST' | 'RSET' | 'NOOP' | 'VRFY' | 'WHAT'

const texts: Record<Command | Other, string> = {
  EHLO: 'EHLO c\r\n',
  MAIL: 'MAIL FROM:<a@client.example>\r\n',
  BADMAIL: 'MAIL FROM:<a@>\r\n',
  RCPT: 'RCPT TO:<victim@protected.example>\r\n',
  FOREIGN: 'RCPT TO:<x@outside.example>\r\n',
  REFUSED: 'RCPT TO:<refused@protected.example>\r\n',
  DATA: 'DATA\r\n',
  BDAT: 'BDAT 3\r\na\r\n',
  LAST: 'BDAT 3 LAST\r\nb\r\n',
  RSET: 'RSET\r\n',
  NOOP: 'NOOP\r\n',
  VRFY: 'VRFY x\r\n',
  WHAT: 'WHAT\r\n',
}

/** The model: what has been said, and what that permits. */
class Model {
  hasHello = false
  hasMail = false
  recipients = 0
  isChunked = false
  delivered = 0

  /** The first digits of the reply that is due. */
  apply(command: Command | Other): string {
    switch (command) {
      case 'EHLO':
        this.#reset()
        this.hasHello = true
        return '250'
      case 'MAIL':
        if (!this.hasHello || this.hasMail) return '503'
        this.hasMail = true
        return '250'
      case 'BADMAIL':
        return !this.hasHello || this.hasMail ? '503' : '501'
      case 'RCPT':
        if (!this.hasMail || this.isChunked) return '503'
        this.recipients++
        return '250'
      case 'FOREIGN':
      case 'REFUSED':
        return !this.hasMail || this.isChunked ? '503' : '550'
      case 'DATA':
        return this.#data()
      case 'BDAT':
      case 'LAST':
        return this.#chunk(command === 'LAST')
      case 'RSET':
        this.#reset()
        return '250'
      case 'NOOP':
        return '250'
      case 'VRFY':
        return '252'
      case 'WHAT':
        return '500'
    }
  }

  #data(): string {
    if (!this.hasMail || this.isChunked) return '503'
    if (this.recipients === 0) return '554'
    this.delivered++
    this.#reset()
    return '354'
  }

  #chunk(isLast: boolean): string {
    if (!this.hasHello) return '502'
    if (!this.hasMail) return '503'
    if (this.recipients === 0) return '554'
    this.isChunked = true
    if (!isLast) return '250'
    this.delivered++
    this.#reset()
    return '250'
  }

  #reset(): void {
    this.hasMail = false
    this.recipients = 0
    this.isChunked = false
  }
}

test('random orders of commands answer as the reference model does', () => {
  const command = fc.constantFrom(...(Object.keys(texts) as (Command | Other)[]))
  fc.assert(
    fc.property(fc.array(command, { maxLength: 40 }), (commands) => {
      const model = new Model()
      const world = new World({
        policy: { errorsMax: 1000 },
        recipientReply: (to) => (to.startsWith('<refused') ? '550 5.1.1 no' : '250 2.1.5 ok'),
      })
      for (const name of commands) {
        const want = model.apply(name)
        world.send(texts[name])
        expect(world.take().slice(0, 3)).toBe(want)
        if (want === '502') break // BDAT before EHLO: closed
        if (want === '354') expect(world.send('Subject: x\r\n.\r\n').take().slice(0, 3)).toBe('250')
      }
      world.lose()
      expect(world.delivered.length).toBe(model.delivered)
    }),
    { numRuns: 500, seed: 3 },
  )
})
