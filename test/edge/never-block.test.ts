/**
 * What no list may name: the mailhosts of the routes as well as the others.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { Lists } from '../../src/edge/lists.ts'
import type { ListReport } from '../../src/lists/list-report.ts'
import { testConfig } from '../support/running-proxy.ts'

const folder = mkdtempSync(join(tmpdir(), 'activemx-never-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('a mailhost of a route: entries that name it are set aside, feedback never enters it', async () => {
  const file = join(folder, 'feed.txt')
  writeFileSync(file, '62.1.2.0/24\n62.1.3.9\n')
  const mailhost = {
    addresses: ['62.9.9.9:25'],
    route: [{ domains: ['routed.example'], addresses: ['62.1.2.25:25'] }],
  }
  const lists = { blacklist: [{ name: 'feed', file }], bad_lines_max: 1 }
  const reports: ListReport[] = []
  const opened = await Lists.open(testConfig([], { mailhost, lists }, folder), {
    onReport: (report) => reports.push(report),
    onFault: () => {},
    onRules: () => {},
    onChange: () => {},
  })
  try {
    const setAside = reports[0]?.setAside.map(({ prefix, reason }) => `${prefix} ${reason}`)
    expect(setAside).toEqual(['62.1.2.0/24 touches 62.1.2.25: mailhost of ours'])
    expect(opened.holdingsOf('62.1.2.25').map(({ kind }) => kind)).not.toContain('blacklist')
    expect(opened.holdingsOf('62.1.3.9').map(({ kind }) => kind)).toEqual(['blacklist'])
    const exempt = ['62.1.2.25/32', '62.1.2.0/24', '62.9.9.9/32', '62.1.3.9/32']
    expect(exempt.map((prefix) => opened.isFeedbackExempt(prefix))).toEqual([
      true,
      true,
      true,
      false,
    ])
  } finally {
    await opened.close()
  }
})
