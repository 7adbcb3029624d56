import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { isHostName, readHostName, sharesShape } from '../../src/checks/dialup-name.ts'
import { describeWith, needsSharedData, sharedData } from '../support/needs.ts'

describe('B11 names of pools', () => {
  const pools = [
    ['84-105-109-75.cable.example.nl', '84.105.109.75', 'address-in-name'],
    ['201.86.89.158.line.example.br', '201.86.89.158', 'address-in-name'],
    ['host164-165.54-82.example.it', '82.54.165.164', 'address-in-name'],
    ['chello084010135054.example.pl', '84.10.135.54', 'address-in-name'],
    ['p5487d484.x.example.net', '84.135.212.132', 'address-in-name'],
    ['aayt12.neoplus.adsl.example.pl', '83.6.131.12', 'pool-word'],
    ['c190-116.example.pl', '85.221.190.116', 'octets-in-name'],
    ['2001-db8-0-1-a-b-c-d.x.example.net', '2001:db8:0:1:a:b:c:d', 'address-in-name'],
  ] as const
  test.each(pools)('%s is a pool name of %s (%s)', (name, address, sign) => {
    expect(readHostName(name, address)).toMatchObject({ isPool: true, sign })
  })

  const hosts = [
    ['mail.example.net', '192.0.2.7'],
    ['a192-156.smtp-out.example.com', '199.255.192.156'],
    ['mail-192-0-2-7.example.com', '192.0.2.7'],
    ['mx1.cable.example.com', '192.0.2.7'],
    ['static-192-0-2-7.example.com', '192.0.2.7'],
    ['db7.example.org', '192.0.2.7'],
    ['example.org', '192.0.2.7'],
  ] as const
  test.each(hosts)('%s is no pool name of %s', (name, address) => {
    expect(readHostName(name, address).isPool).toBe(false)
  })

  test('neighbours of the same shape make a pool, mail servers in a row do not', () => {
    const shape = ['c11.net7.example.pl', 'c13.net7.example.pl', 'www.example.pl']
    expect(sharesShape('c12.net7.example.pl', shape, 2)).toBe(true)
    expect(sharesShape('c12.net7.example.pl', shape, 3)).toBe(false)
    expect(sharesShape('mail2.example.pl', ['mail1.example.pl', 'mail3.example.pl'], 2)).toBe(false)
    expect(sharesShape('www.example.pl', ['www.example.pl', 'www.example.pl'], 2)).toBe(false)
  })

  test('a name that is no host name is not believed', () => {
    expect(isHostName('mail.example.com')).toBe(true)
    expect(isHostName('mail.example.com\nX-Spam: no')).toBe(false)
    expect(isHostName('a b<script>.example')).toBe(false)
    expect(isHostName('127.0.0.1')).toBe(false)
    expect(isHostName(`${'a'.repeat(64)}.example`)).toBe(false)
  })
})

describeWith([needsSharedData()], 'Show 3: real names', () => {
  test('recall ≥ 0.90 on pool names, ≤ 2 % of the mail hosts and servers taken for one', () => {
    const rows = readFileSync(sharedData('rdns/ptr_samples.tsv'), 'utf8')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => line.split('\t'))
    const positives = rows.filter((row) => row[3] === 'generic')
    const missed = positives.filter(([name = '', address = '']) => !isPool(name, address))
    const relays = rows.filter((row) => row[2] === 'mail-relay-received')
    const negatives = [
      ...relays.map(([name = '', address = '']) => ({ name, address })),
      ...zoneTargets().map((name) => ({ name, address: '-' })),
    ]
    const wrong = negatives.filter(({ name, address }) => isPool(name, address))
    const recall = 1 - missed.length / positives.length
    console.log(
      `pool names: ${positives.length - missed.length} of ${positives.length} found (recall ` +
        `${recall.toFixed(3)}); ${wrong.length} of ${negatives.length} servers taken for one`,
    )
    console.log(missed.map(([name, address]) => `${name} ${address}`).join('\n'))
    expect(recall).toBeGreaterThanOrEqual(0.9)
    expect(wrong.length / negatives.length).toBeLessThanOrEqual(0.02)
  })
})

/** Judged as the dialup test does, `-` standing for an address that the sample does not name. */
function isPool(name: string, address: string): boolean {
  return readHostName(name, address === '-' ? '0.0.0.0' : address).isPool
}

/** Every distinct host name that is a target of PTR or NS, lines with template macros left out. */
function zoneTargets(): string[] {
  const folder = sharedData('rdns/zones')
  const targets = new Set<string>()
  for (const file of readdirSync(folder)) {
    for (const line of readFileSync(join(folder, file), 'utf8').split('\n')) {
      if (line.includes('{{')) continue
      const fields = (line.split(';')[0] ?? '').trim().split(/\s+/)
      const at = fields.findIndex((field) => field === 'PTR' || field === 'NS')
      const target = fields[at + 1]
      if (at > 0 && target?.includes('.')) targets.add(target.toLowerCase())
    }
  }
  return [...targets]
}
