import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { parseNamePatterns } from '../../src/probes/name-patterns.ts'
import { describeWith, needsSharedData, sharedData } from '../support/needs.ts'

describe('a file of name patterns', () => {
  test('patterns, conditions, comments, and bad lines by number', () => {
    const text = [
      '# comment',
      String.raw`/^dsl-[0-9]+\.example\.com$/ REJECT dsl`,
      'if /pool/',
      String.raw`/example\.net$/ REJECT`,
      'endif',
      '/(unclosed/ REJECT',
      '/(?=look)ahead/ REJECT',
    ].join('\n')
    const { patterns, bad } = parseNamePatterns(text)
    expect(patterns.size).toBe(2)
    expect(patterns.lineOf('DSL-7.example.com')).toBe(2)
    expect(patterns.lineOf('pool7.example.net')).toBe(4)
    expect(patterns.lineOf('mail.example.net')).toBe(0)
    expect(bad.map(({ line }) => line)).toEqual([6, 7])
  })
})

describeWith([needsSharedData()], 'fqrdns.pcre, as data', () => {
  test('every pattern but a broken one is read, and the samples are judged as its authors would', () => {
    const { patterns, bad } = parseNamePatterns(
      readFileSync(sharedData('rdns/fqrdns.pcre'), 'utf8'),
    )
    // Line 356 has an escape that is none: `\\east`.
    expect(bad.map(({ line }) => line)).toEqual([356])
    expect(patterns.size).toBeGreaterThan(1400)
    const rows = readFileSync(sharedData('rdns/ptr_samples.tsv'), 'utf8').split('\n')
    const samples = rows
      .filter((row) => row !== '' && !row.startsWith('#'))
      .map((row) => row.split('\t'))
    const differing = samples.filter(
      ([name = '', , , verdict]) => patterns.lineOf(name) > 0 !== (verdict === 'generic'),
    )
    expect(differing).toEqual([])
  })
})
