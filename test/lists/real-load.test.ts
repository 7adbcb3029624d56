import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { expect, test } from 'vitest'
import { newCpuPool } from '../../src/cpu-pool.ts'
import { loadLists } from '../../src/lists/load-lists.ts'
import { chooseForm } from '../../src/tables/choose-form.ts'
import { describeWith, needsSharedData, sharedData } from '../support/needs.ts'

/** Every list of the real data; a file of an older snapshot is a list of its own. */
function realLists(): readonly { name: string; file: string }[] {
  const folders = ['firehol_2022-02-04', 'firehol_2023-04-16', 'country_2024-01-26', 'ipsum']
  const lists = folders.flatMap((folder) => {
    const path = sharedData(`blocklists/${folder}`)
    return readdirSync(path).map((file) => ({
      name: `${folder}-${basename(file)}`,
      file: join(path, file),
    }))
  })
  return [...lists, { name: 'bgp', file: sharedData('prefixes/bart_prefixes.txt.gz') }]
}

describeWith([needsSharedData()], 'the real lists on the CPU pool', () => {
  test('59 files with 1.8 million entries load whole, none refused, hazards set aside', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'activemx-real-'))
    const pool = newCpuPool(2)
    const limits = { coverageMax: 1, changeMax: 1, shortestPrefix: 8, expiresMs: 0 } as const
    const blacklist = realLists().map((one) => ({ ...one, format: 'auto' as const, ...limits }))
    const empty = { trusted: [], relay: [], dialup: [], neverBlock: [] }
    try {
      const { reports, tables } = await loadLists(
        {
          ...{ allowLoopback: false, keep: 'files', blacklistForm: 'prefix', badLinesMax: 0.01 },
          ...{ blacklist, ...empty },
        },
        {
          ...{ pool, formOf: chooseForm, cache: join(folder, 'cache'), store: '' },
          ...{ ownNetworks: [], feedOf: () => undefined },
        },
      )
      expect(reports).toHaveLength(59)
      expect(reports.filter((report) => report.outcome !== 'loaded')).toEqual([])
      expect(reports.reduce((sum, report) => sum + report.badLineCount, 0)).toBe(0)
      const entries = reports.reduce((sum, one) => sum + one.entryCount + one.setAsideCount, 0)
      const { prefixes4, prefixes6 } = tables.blacklist.sizes()
      const setAside = reports.reduce((sum, one) => sum + one.setAsideCount, 0)
      expect(entries).toBe(1_808_727)
      expect(prefixes4 + prefixes6).toBe(entries - setAside)
      expect(tables.blacklist.lookup('10.0.0.1')).toBeUndefined()
      tables.blacklist.close()
    } finally {
      await pool.close()
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
