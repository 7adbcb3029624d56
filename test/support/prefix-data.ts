/**
 * The real prefixes and expected answers beside the project, read in the simplest way.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import type { PrefixEntry } from '../../src/tables/ip-table.ts'
import { sharedData } from './needs.ts'

/** An address and the longest prefix that holds it; undefined = none. */
export interface Vector {
  readonly address: string
  readonly prefix: string | undefined
}

/** Non-empty lines of a file beside the project, unpacked where its name ends in .gz. */
export function dataLines(path: string): readonly string[] {
  const octets = readFileSync(sharedData(path))
  const text = (path.endsWith('.gz') ? gunzipSync(octets) : octets).toString('latin1')
  return text.split(/\r?\n/).filter((line) => line !== '')
}

/** Lines `address TAB prefix`, `-` = none. */
export function dataVectors(path: string): readonly Vector[] {
  return dataLines(path).map((line) => {
    const [address = '', prefix = '-'] = line.split('\t')
    return { address, prefix: prefix === '-' ? undefined : prefix }
  })
}

/** Every entry of every list in a folder beside the project; the list is the file's name. */
export function blocklistEntries(folder: string): readonly PrefixEntry[] {
  return readdirSync(sharedData(folder)).flatMap((name) =>
    dataLines(join(folder, name))
      .map((line, index) => ({ prefix: line.trim(), list: name, file: name, line: index + 1 }))
      .filter(({ prefix }) => prefix !== '' && !prefix.startsWith('#')),
  )
}

/** The full BGP table, IPv4 and IPv6. */
export function bgpEntries(): readonly PrefixEntry[] {
  return dataLines('prefixes/bart_prefixes.txt.gz').map((prefix) => ({ prefix, list: 'bgp' }))
}
