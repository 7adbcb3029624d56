/**
 * Hosts that refuse us: counted, told, and nothing that speaks against a sender.
 */
import { describe, expect, test } from 'vitest'
import { refusalWarningEveryMs } from '../../src/base/limits.ts'
import type { ProbeRecord } from '../../src/probes/inquiry.ts'
import { RefusalWatch } from '../../src/probes/refusal-watch.ts'

function probe(name: string, said = '550 5.7.1 listed'): ProbeRecord {
  const finding = { layer: 'user', outcome: 'indeterminate', name, evidence: [said] } as const
  const target = '192.0.2.25:25'
  return {
    ...{ time: 0, test: 'user', client: '192.0.2.7', subject: 'ann@far.example', target },
    ...{ finding, dialogue: [], ms: 1 },
  }
}

describe('a watch over refusals', () => {
  test('the first is told at once, those of an hour together; others are not', () => {
    const told: string[] = []
    const watch = new RefusalWatch((text) => told.push(text))
    watch.onProbe(probe('user-exists'), 1000)
    watch.onProbe(probe('try-later'), 1000)
    expect([watch.count, told]).toEqual([0, []])
    for (let n = 0; n < 50; n++) watch.onProbe(probe('refuses-us'), 2000 + n)
    expect(watch.count).toBe(50)
    expect(told).toEqual([
      'hosts refuse our probes (1 since the last warning), last 192.0.2.25:25 about ' +
        'ann@far.example: 550 5.7.1 listed; look whether our address is on a blocklist, and at its name',
    ])
    watch.onProbe(probe('refuses-us'), 2000 + refusalWarningEveryMs - 1)
    expect(told).toHaveLength(1)
    watch.onProbe(probe('refuses-us', '554 go away'), 2000 + refusalWarningEveryMs)
    expect(told[1]).toMatch(/\(51 since the last warning\), .*: 554 go away;/)
    expect(watch.count).toBe(52)
  })
})
