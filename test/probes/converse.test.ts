/**
 * Whose fault it is that a connection is not made: ours proves nothing about the other side.
 */
import { describe, expect, test } from 'vitest'
import { converse, faultKind } from '../../src/probes/converse.ts'
import type { ProbePlan } from '../../src/probes/smtp-probe.ts'

const plan: ProbePlan = {
  helo: 'probe.home.example',
  questions: [],
  depth: 'rcpt',
  isTlsTried: false,
  goesOn: () => false,
}
const target = {
  port: 25,
  serverName: '',
  source: '',
  connectWaitMs: 30_000,
  replyWaitMs: 30_000,
  totalWaitMs: 30_000,
}

describe('what an error of connect() says', () => {
  test.each(['EMFILE', 'ENFILE', 'EADDRNOTAVAIL', 'ENOBUFS', 'EPERM'])(
    '%s is our fault whenever it comes',
    (code) => {
      expect([faultKind(code, true), faultKind(code, false)]).toEqual(['our-fault', 'our-fault'])
    },
  )

  test.each(['ENETUNREACH', 'EHOSTUNREACH'])(
    '%s is our fault at once (no route); later a firewall has said it, and the host may choose to',
    (code) => {
      expect([faultKind(code, true), faultKind(code, false)]).toEqual(['our-fault', 'unreachable'])
    },
  )

  test('a refusal and silence are the other side’s', () => {
    expect(faultKind('ECONNREFUSED', true)).toBe('refused')
    expect(faultKind('ETIMEDOUT', false)).toBe('unreachable')
  })
})

describe('as the kernel says it', () => {
  // Nothing leaves: there is no TCP to a multicast address.
  test('no route', async () => {
    expect(await converse({ ...target, address: '224.0.0.1' }, plan)).toEqual({
      kind: 'our-fault',
      reason: 'ENETUNREACH',
    })
  })

  test('a source address that is not ours', async () => {
    const away = { ...target, address: '127.0.0.1', source: '192.0.2.1' }
    expect(await converse(away, plan)).toEqual({ kind: 'our-fault', reason: 'EADDRNOTAVAIL' })
  })
})
