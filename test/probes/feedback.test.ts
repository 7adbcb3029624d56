/**
 * B23 feedback: what is entered, what never is, and for how long.
 */
import { tmpdir } from 'node:os'
import { describe, expect, test } from 'vitest'
import { feedbackIndependentMs } from '../../src/base/limits.ts'
import type { Finding, Layer } from '../../src/checks/finding.ts'
import { buildConfig } from '../../src/config/load.ts'
import { feedbackSettingsOf } from '../../src/edge/probe-settings.ts'
import { Feedback, type FeedbackSettings, type Listing } from '../../src/probes/feedback.ts'

function positive(layer: Layer, name = 'found'): Finding {
  return { layer, outcome: 'positive', name, evidence: ['seen'] }
}

const smallest = {
  name: 'mx.home.example',
  mailhost: { addresses: ['192.0.2.1:25'] },
  recipients: { domains: ['home.example'] },
}

function newFeedback(
  settings: Partial<FeedbackSettings> = {},
  exempt: readonly string[] = [],
  since = new Map<string, number>(),
) {
  const listings: Listing[] = []
  const ends: string[] = []
  const good = new Map<string, number>()
  const clock = { ms: 1e12 }
  const set: FeedbackSettings = {
    layers: ['relay', 'dialup'],
    findings: 1,
    ttlMs: 1000,
    promoteHosts: 3,
    goodForMs: 30 * 86_400_000,
    ...settings,
  }
  const feedback = new Feedback(set, {
    wallNow: () => clock.ms,
    isExempt: (prefix) => exempt.includes(prefix),
    list: (listing) => listings.push(listing),
    endVerdicts: (prefix, untilMs) => ends.push(`${prefix} ${untilMs}`),
    goodAtMs: (key) => good.get(key) ?? 0,
    noteGood: (key, wallMs) => good.set(key, wallMs),
    countsSinceMs: (key) => since.get(key) ?? Number.NEGATIVE_INFINITY,
    countFrom: (key, wallMs) => since.set(key, wallMs),
  })
  return { feedback, listings, ends, clock, since }
}

describe('B23 feedback', () => {
  test('a finding of a layer that feeds back is entered with its evidence and end', () => {
    const { feedback, listings } = newFeedback()
    expect(feedback.onFinding('192.0.2.7', positive('relay', 'open-relay'))).toBe(true)
    expect(listings).toEqual([
      { prefix: '192.0.2.7/32', reason: 'open-relay', evidence: ['seen'], ttlMs: 1000 },
    ])
  })

  test('an IPv6 host is its /64', () => {
    const { feedback, listings } = newFeedback()
    feedback.onFinding('2001:db8:1:2:3::9', positive('dialup'))
    expect(listings[0]?.prefix).toBe('2001:db8:1:2::/64')
  })

  test('other layers, and what is not positive, are not', () => {
    const { feedback, listings } = newFeedback()
    feedback.onFinding('192.0.2.7', positive('user'))
    feedback.onFinding('192.0.2.7', { ...positive('relay'), outcome: 'indeterminate' })
    feedback.onFinding('192.0.2.7', { ...positive('relay'), outcome: 'negative' })
    feedback.onFinding('nonsense', positive('relay'))
    expect(listings).toEqual([])
  })

  test('exempt hosts are never entered, nor a block that holds one', () => {
    const { feedback, listings } = newFeedback({}, ['192.0.2.7/32', '198.51.100.0/24'])
    feedback.onFinding('192.0.2.7', positive('relay'))
    expect(listings).toEqual([])
    for (const host of [1, 2, 3]) feedback.onFinding(`198.51.100.${host}`, positive('relay'))
    expect(listings.map((each) => each.prefix)).not.toContain('198.51.100.0/24')
  })

  test('by default a honeypot that takes everything at RCPT needs a second, independent finding', () => {
    const loaded = buildConfig(smallest, tmpdir())
    if (!loaded.ok) throw new Error('the smallest configuration is wrong')
    const { findings } = feedbackSettingsOf(loaded.value)
    const { feedback, listings, clock } = newFeedback({ findings })
    feedback.onFinding('192.0.2.7', positive('relay'))
    feedback.onFinding('192.0.2.7', positive('relay'))
    expect(listings).toEqual([])
    clock.ms += feedbackIndependentMs
    feedback.onFinding('192.0.2.7', positive('relay'))
    expect(listings).toHaveLength(1)
  })

  test('one verdict is one finding, whenever it is met; the next entry needs as many again', () => {
    const { feedback, listings, clock } = newFeedback({ findings: 2 })
    const first = { ...positive('relay'), foundAtMs: clock.ms }
    for (let times = 0; times < 3; times++) {
      feedback.onFinding('192.0.2.7', first)
      clock.ms += feedbackIndependentMs
    }
    expect(listings).toEqual([])
    const second = { ...positive('relay'), foundAtMs: clock.ms }
    expect(feedback.onFinding('192.0.2.7', second)).toBe(true)
    clock.ms += feedbackIndependentMs
    for (const finding of [first, second]) feedback.onFinding('192.0.2.7', finding)
    expect(listings).toHaveLength(1)
    expect(feedback.onFinding('192.0.2.7', positive('relay'))).toBe(false)
    clock.ms += feedbackIndependentMs
    expect(feedback.onFinding('192.0.2.7', positive('relay'))).toBe(true)
  })

  test('a verdict is kept until a further one would count, or the entry ends', () => {
    const { feedback, ends, clock } = newFeedback({
      findings: 2,
      ttlMs: 5e6,
      layers: ['relay', 'user'],
    })
    const startMs = clock.ms
    feedback.onFinding('192.0.2.7', positive('relay'))
    clock.ms += feedbackIndependentMs
    feedback.onFinding('192.0.2.7', positive('relay'))
    feedback.onFinding('192.0.2.8', positive('user'))
    expect(ends).toEqual([
      `192.0.2.7/32 ${startMs + feedbackIndependentMs}`,
      `192.0.2.7/32 ${clock.ms + 5e6}`,
    ])
  })

  test('what was found before a removal counts no more', () => {
    const { feedback, listings, ends, clock } = newFeedback()
    const before = { ...positive('user'), foundAtMs: clock.ms }
    const since = newFeedback({ layers: ['user'] })
    since.feedback.onRemoved('192.0.2.7/32')
    expect(since.feedback.onFinding('192.0.2.7', before)).toBe(false)
    feedback.onRemoved('192.0.2.0/24')
    expect(ends).toEqual(['192.0.2.0/24 0'])
    expect(feedback.onFinding('192.0.2.9', { ...positive('relay'), foundAtMs: clock.ms })).toBe(
      false,
    )
    clock.ms++
    expect(feedback.onFinding('192.0.2.9', positive('relay'))).toBe(true)
    expect(listings).toHaveLength(1)
  })

  test('what was found before an entry or a removal counts no more, after a restart neither', () => {
    const first = newFeedback({ layers: ['user'] })
    const before = { ...positive('user'), foundAtMs: first.clock.ms - 1 }
    expect(first.feedback.onFinding('192.0.2.7', before)).toBe(true)
    first.feedback.onRemoved('192.0.2.8/32')
    const second = newFeedback({ layers: ['user'] }, [], first.since)
    for (const host of ['192.0.2.7', '192.0.2.8']) {
      expect(second.feedback.onFinding(host, before)).toBe(false)
      const anew = { ...positive('user'), foundAtMs: second.clock.ms + 1 }
      expect(second.feedback.onFinding(host, anew)).toBe(true)
    }
    expect(second.feedback.onFinding('192.0.2.9', before)).toBe(true)
  })

  test('a host that delivered accepted mail is not entered for a forged sender, for 30 days', () => {
    const { feedback, listings, clock } = newFeedback({ layers: ['user', 'headers', 'relay'] })
    feedback.onDelivered('192.0.2.7')
    feedback.onFinding('192.0.2.7', positive('user'))
    feedback.onFinding('192.0.2.7', positive('headers'))
    expect(listings).toEqual([])
    feedback.onFinding('192.0.2.7', positive('relay'))
    expect(listings).toHaveLength(1)
    clock.ms += 30 * 86_400_000
    feedback.onFinding('192.0.2.7', positive('user'))
    expect(listings).toHaveLength(2)
  })

  test('three bad hosts and no good one in a /24 enter the block', () => {
    const { feedback, listings } = newFeedback()
    for (const host of [1, 1, 2]) feedback.onFinding(`192.0.2.${host}`, positive('relay'))
    expect(listings.map((each) => each.prefix)).not.toContain('192.0.2.0/24')
    feedback.onFinding('192.0.2.3', positive('dialup'))
    expect(listings.at(-1)).toMatchObject({ prefix: '192.0.2.0/24', reason: 'bad-neighbours' })
  })

  test('a good neighbour keeps the block out', () => {
    const { feedback, listings } = newFeedback()
    feedback.onDelivered('192.0.2.200')
    for (const host of [1, 2, 3, 4]) feedback.onFinding(`192.0.2.${host}`, positive('relay'))
    expect(listings).toHaveLength(4)
  })

  test('bad hosts whose entry has ended do not count towards the block', () => {
    const { feedback, listings, clock } = newFeedback()
    for (const host of [1, 2, 3]) {
      feedback.onFinding(`192.0.2.${host}`, positive('relay'))
      clock.ms += 2000
    }
    expect(listings.map((each) => each.prefix)).not.toContain('192.0.2.0/24')
  })
})
