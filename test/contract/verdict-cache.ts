/**
 * What every verdict cache must do, in memory or in the store.
 */
import { describe, expect, test } from 'vitest'
import type { CachedVerdict, VerdictCache } from '../../src/probes/verdict-cache.ts'

/** A verdict that lives until the given time. */
export function verdictUntil(untilMs: number, name = 'user-exists'): CachedVerdict {
  const finding = { layer: 'user', outcome: 'negative', name, evidence: ['a', 'b'] } as const
  return { finding, foundAtMs: 0, untilMs }
}

/** Runs the contract. */
export function runVerdictCacheContract(
  title: string,
  newCache: () => { cache: VerdictCache; close: () => Promise<void> },
): void {
  describe(`verdict cache: ${title}`, () => {
    test('what is put is there at once, until its time', async () => {
      const { cache, close } = newCache()
      cache.put('u:a@b', verdictUntil(100))
      expect(cache.get('u:a@b', 99)).toEqual(verdictUntil(100))
      expect(cache.get('u:a@b', 100)).toBeUndefined()
      expect(cache.get('u:c@d', 0)).toBeUndefined()
      await close()
    })

    test('a later verdict takes the place of the earlier', async () => {
      const { cache, close } = newCache()
      cache.put('u:a@b', verdictUntil(100, 'one'))
      cache.put('u:a@b', verdictUntil(200, 'two'))
      expect(cache.get('u:a@b', 150)?.finding?.name).toBe('two')
      await close()
    })

    test('entries are shown and flushed by the beginning of their key', async () => {
      const { cache, close } = newCache()
      for (const key of ['u:b@x', 'u:a@x', 'd:x', 'h:4:1']) cache.put(key, verdictUntil(100))
      cache.put('u:old@x', verdictUntil(1))
      await new Promise((resolve) => setTimeout(resolve, 50))
      expect(cache.entries('u:', 50, 10).map(([key]) => key)).toEqual(['u:a@x', 'u:b@x'])
      expect(cache.entries('', 50, 2)).toHaveLength(2)
      expect(await cache.flush('u:')).toBe(3)
      expect(cache.get('u:a@x', 50)).toBeUndefined()
      expect(cache.get('d:x', 50)).toBeDefined()
      await close()
    })
  })
}
