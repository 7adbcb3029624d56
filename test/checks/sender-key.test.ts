/**
 * Sender keys: what rewriters make of one mailbox is one key; different people never are.
 */
import { describe, expect, test } from 'vitest'
import { mailboxOf, senderKey } from '../../src/checks/sender-key.ts'

function keyOf(address: string): string {
  const mailbox = mailboxOf(address)
  return mailbox === undefined ? '' : senderKey(mailbox)
}

describe('sender keys', () => {
  test.each([
    ['Anna+tag@Good.example', 'anna@good.example'],
    ['list-return-1234-anna=example.org@l.example', 'list-return-#-=@l.example'],
    ['list-return-1235-bert=example.net@l.example', 'list-return-#-=@l.example'],
    ['bounce-20261122-7@m.example', 'bounce-#-7@m.example'],
    ['bounces+99120-5f2c-jos=a.example@m.example', 'bounces@m.example'],
    ['SRS0=HHHH=TT=a.example=anna@fwd.example', 'srs0@fwd.example'],
    ['SRS1=HHHH=b.example==HHHH=TT=a.example=anna@fwd.example', 'srs1@fwd.example'],
    ['prvs=2745a8f3c1=anna@good.example', 'anna@good.example'],
    ['btv1==2745a8f3c1==anna@good.example', 'anna@good.example'],
  ])('%s → %s', (address, key) => {
    expect(keyOf(address)).toBe(key)
  })

  test.each([
    ['12345678@qq.example', '87654321@qq.example'],
    ['anna1984@a.example', 'anna2001@a.example'],
    ['user-1234@a.example', 'user-5678@a.example'],
    ['srs0bert@a.example', 'srs0dora@a.example'],
  ])('%s and %s are two people', (one, other) => {
    expect(keyOf(one)).not.toBe(keyOf(other))
  })
})
