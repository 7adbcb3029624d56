/**
 * A small writer of MaxMind DB files (format 2.0), one family a file, 32-bit records, a 16-bit
 * number a prefix: what a user of `maxmind` would compile a block list to. Longer prefixes win.
 *
 *   tree: nodes of two records | 16 zero octets | data | marker, metadata
 *   record: a node, node count = nothing, above = node count + 16 + offset into data
 *
 * Source: MaxMind DB File Format Specification, version 2.0.
 */
import type { FamilyColumns } from '../../src/base/prefix-columns.ts'

const nothing = 0xffff_ffff
/** Records that name a value while the tree grows: this flag and the value. */
const valueFlag = 0x8000_0000

/** The octets of a database of a family's prefixes; the value of a prefix is its list id + 1. */
export function writeMmdb(family: 4 | 6, columns: FamilyColumns): Buffer {
  const tree = new Tree()
  const wordsEach = family === 4 ? 1 : 4
  const shortFirst = Uint32Array.from({ length: columns.count }, (_, i) => i)
  shortFirst.sort((a, b) => (columns.lengths[a] ?? 0) - (columns.lengths[b] ?? 0))
  for (const at of shortFirst) {
    const words = columns.words.subarray(at * wordsEach, (at + 1) * wordsEach)
    tree.insert(words, columns.lengths[at] ?? 0, (columns.listIds[at] ?? 0) + 1)
  }
  return tree.finish(family)
}

class Tree {
  #records = new Uint32Array(1 << 20)
  #count = 1

  constructor() {
    this.#records.fill(nothing)
  }

  /** Shorter prefixes must come before longer ones. */
  insert(words: Uint32Array, length: number, value: number): void {
    let node = 0
    for (let bit = 0; bit < length - 1; bit++) {
      const at = node * 2 + bitOf(words, bit)
      const record = this.#records[at] ?? nothing
      node = record < valueFlag ? record : this.#split(at, record)
    }
    this.#records[node * 2 + bitOf(words, length - 1)] = (valueFlag | value) >>> 0
  }

  /** A new node under `at`, both sides of which hold what `at` held. */
  #split(at: number, record: number): number {
    if ((this.#count + 1) * 2 > this.#records.length) this.#grow()
    const node = this.#count++
    this.#records[node * 2] = record
    this.#records[node * 2 + 1] = record
    this.#records[at] = node
    return node
  }

  #grow(): void {
    const wider = new Uint32Array(this.#records.length * 2).fill(nothing)
    wider.set(this.#records)
    this.#records = wider
  }

  finish(family: 4 | 6): Buffer {
    const count = this.#count
    const offsets = new Map<number, number>()
    const data: Buffer[] = []
    const tree = Buffer.alloc(count * 8 + 16)
    for (let i = 0; i < count * 2; i++) {
      const record = this.#records[i] ?? nothing
      tree.writeUInt32BE(record < valueFlag ? record : this.#resolve(record, offsets, data), i * 4)
    }
    return Buffer.concat([tree, ...data, metadata(count, family)])
  }

  #resolve(record: number, offsets: Map<number, number>, data: Buffer[]): number {
    if (record === nothing) return this.#count
    const value = (record & 0xffff) >>> 0
    const known = offsets.get(value)
    const offset = known ?? data.length * 3
    if (known === undefined) {
      offsets.set(value, offset)
      data.push(Buffer.of(0xa2, value >>> 8, value & 255)) // type 5, uint16, 2 octets
    }
    return this.#count + 16 + offset
  }
}

/** Bit 0 is the most significant of the first word. */
function bitOf(words: Uint32Array, bit: number): number {
  return ((words[bit >>> 5] ?? 0) >>> (31 - (bit & 31))) & 1
}

function metadata(nodeCount: number, ipVersion: 4 | 6): Buffer {
  const marker = Buffer.from('\xab\xcd\xefMaxMind.com', 'latin1')
  const unsigned = (type: number, value: number, octets: number): Buffer => {
    const content = Buffer.alloc(octets)
    content.writeUIntBE(value, 0, octets)
    const control = type > 7 ? Buffer.of(octets, type - 7) : Buffer.of((type << 5) | octets)
    return Buffer.concat([control, content])
  }
  const text = (value: string): Buffer =>
    Buffer.concat([Buffer.of((2 << 5) | value.length), Buffer.from(value)])
  const pairs: readonly (readonly [string, Buffer])[] = [
    ['node_count', unsigned(6, nodeCount, 4)],
    ['record_size', unsigned(5, 32, 2)],
    ['ip_version', unsigned(5, ipVersion, 2)],
    ['database_type', text('bench')],
    ['languages', Buffer.of(0x00, 0x04)],
    ['binary_format_major_version', unsigned(5, 2, 2)],
    ['binary_format_minor_version', unsigned(5, 0, 2)],
    ['build_epoch', unsigned(9, 1, 4)],
    ['description', Buffer.of(0xe0)],
  ]
  const map = pairs.flatMap(([name, value]) => [text(name), value])
  return Buffer.concat([marker, Buffer.of(0xe0 | pairs.length), ...map])
}
