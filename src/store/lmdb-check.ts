/**
 * Is this LMDB file whole? Judged by reading it as a file, before LMDB maps it.
 *
 * LMDB trusts its file: a page number beyond the end is a SIGBUS, a node beyond its page a wild
 * read. So the meta pages, the file's size and the tree's pages are checked first: every child lies
 * inside the file, every node inside its page, no page stands in the tree twice. Keys and values
 * are not judged: a wrong octet in them is a wrong value, not a wrong address.
 *
 * Layout: LMDB data version 2, as lmdb-js embeds it (mdb.c: MDB_page_header, MDB_meta, MDB_node).
 *
 *   page   0 pgno 8 | 8 txnid 8 | 16 pad 2 | 18 flags 2 | 20 lower 2 | 22 upper 2 | 24 node offsets
 *   2 each
 *          (overflow: 20 pages 4); offsets, lower and upper count from octet 24
 *   meta   24 magic 4 | 28 version 4 | 32 address 8 | 40 map 8 | 48 free db 48 | 96 main db 48 |
 *   144 last 8 | 152 txn 8 db     0 pad 4 (free db: page size) | 4 flags 2 | 6 depth 2 | 8 branch 8
 *   | 16 leaf 8 | 24 overflow 8 | 32 entries 8 | 40 root 8 node   0 lo 2 | 2 hi 2 | 4 flags 2 | 6
 *   key octets 2 | 8 key, data
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { OperatingError } from '../base/errors.ts'

const headerOctets = 24
const metaOctets = 160
const magic = 0xbeefc0de
const dataVersion = 2
const depthMax = 32
const noPage = 0xffff_ffff_ffff_ffffn

const pageFlags = { branch: 0x01, leaf: 0x02, overflow: 0x04, meta: 0x08 } as const
const nodeFlags = { bigData: 0x01, subDatabase: 0x02, duplicates: 0x04 } as const

/** How far the check went: a tree larger than the bound is checked in part. */
export interface LmdbCheck {
  readonly pages: number
  readonly isComplete: boolean
}

/**
 * Checks the data file. `pagesMax` bounds the work (a page is 4 KiB and costs about 5 µs).
 * Throws OperatingError STORE_DAMAGED with what is wrong and where.
 */
export function checkLmdbFile(path: string, pagesMax: number): LmdbCheck {
  const file = openSync(path, 'r')
  try {
    return new Check(file, path, pagesMax).run()
  } finally {
    closeSync(file)
  }
}

interface Meta {
  readonly pageOctets: number
  readonly roots: readonly bigint[]
  readonly lastPage: number
  readonly txn: bigint
}

class Check {
  readonly #file: number
  readonly #path: string
  readonly #fileOctets: number
  readonly #pagesMax: number
  #pageOctets = 0
  #lastPage = 0
  #pages = 0
  #seen = new Uint8Array(0)

  constructor(file: number, path: string, pagesMax: number) {
    this.#file = file
    this.#path = path
    this.#pagesMax = pagesMax
    this.#fileOctets = fstatSync(file).size
  }

  run(): LmdbCheck {
    const first = this.#meta(0)
    const second = this.#meta(first.pageOctets)
    if (second.pageOctets !== first.pageOctets) this.#damaged('its meta pages disagree')
    const meta = second.txn > first.txn ? second : first
    const octets = (meta.lastPage + 1) * meta.pageOctets
    if (this.#fileOctets < octets) {
      this.#damaged(`it has ${this.#fileOctets} octets and its meta page promises ${octets}`)
    }
    this.#pageOctets = meta.pageOctets
    this.#lastPage = meta.lastPage
    this.#seen = new Uint8Array((meta.lastPage >> 3) + 1)
    const [freeRoot = noPage, mainRoot = noPage] = meta.roots
    this.#tree(freeRoot, 0, true)
    this.#tree(mainRoot, 0, false)
    return { pages: this.#pages, isComplete: this.#pages < this.#pagesMax }
  }

  #meta(at: number): Meta {
    const page = Buffer.alloc(metaOctets)
    if (readSync(this.#file, page, 0, metaOctets, at) < metaOctets) this.#damaged('it is cut')
    const pageOctets = page.readUInt32LE(48)
    const isPowerOfTwo = (pageOctets & (pageOctets - 1)) === 0
    if (page.readUInt32LE(24) !== magic || (page.readUInt16LE(18) & pageFlags.meta) === 0) {
      this.#damaged(`no meta page at octet ${at}`)
    }
    if ((page.readUInt32LE(28) & 0xffff) !== dataVersion) this.#damaged('of a foreign version')
    if (!isPowerOfTwo || pageOctets < 512 || pageOctets > 65_536) this.#damaged('of no page size')
    const last = page.readBigUInt64LE(144)
    if (last > BigInt(Math.ceil(this.#fileOctets / pageOctets)) + 1n) {
      this.#damaged(`it has ${this.#fileOctets} octets and its meta page promises ${last} pages`)
    }
    const roots = [page.readBigUInt64LE(88), page.readBigUInt64LE(136)]
    return { pageOctets, roots, lastPage: Number(last), txn: page.readBigUInt64LE(152) }
  }

  #tree(root: bigint, depth: number, isFree: boolean): void {
    if (root === noPage || this.#pages >= this.#pagesMax) return
    if (depth > depthMax) this.#damaged('its tree is too deep')
    const number = this.#take(root)
    const page = this.#read(number)
    const flags = page.readUInt16LE(18)
    const isBranch = (flags & pageFlags.branch) !== 0
    if (isBranch === ((flags & pageFlags.leaf) !== 0)) this.#damaged(`page ${number}: no tree page`)
    const below: bigint[] = []
    for (const node of this.#nodes(page, number)) {
      if (isBranch) below.push(childOf(page, node))
      else this.#leafNode(page, node, number, below, isFree)
    }
    for (const child of below) this.#tree(child, depth + 1, isFree)
  }

  /** Offsets of the nodes of a page, each proved to have its header and key inside. */
  #nodes(page: Buffer, number: number): readonly number[] {
    const lower = page.readUInt16LE(20)
    const upper = page.readUInt16LE(22)
    const room = page.length - headerOctets
    if (lower > upper || upper > room || lower % 2 !== 0) this.#damaged(`page ${number}: bounds`)
    const nodes: number[] = []
    for (let at = 0; at < lower; at += 2) {
      const node = page.readUInt16LE(headerOctets + at) + headerOctets
      const isInside = node >= headerOctets + upper && node + 8 <= page.length
      if (!isInside || node + 8 + page.readUInt16LE(node + 6) > page.length) {
        this.#damaged(`page ${number}: node ${at / 2} lies outside`)
      }
      nodes.push(node)
    }
    return nodes
  }

  #leafNode(page: Buffer, node: number, number: number, below: bigint[], isFree: boolean): void {
    const flags = page.readUInt16LE(node + 4)
    const data = node + 8 + page.readUInt16LE(node + 6)
    const octets = page.readUInt16LE(node) + page.readUInt16LE(node + 2) * 65_536
    if ((flags & nodeFlags.duplicates) !== 0) this.#damaged(`page ${number}: of a foreign kind`)
    const isBig = (flags & nodeFlags.bigData) !== 0
    if (data + (isBig ? 8 : octets) > page.length) this.#damaged(`page ${number}: data lie outside`)
    const start = isBig ? this.#overflow(page.readBigUInt64LE(data), octets) : page.subarray(data)
    // The free list counts its page numbers in the first word of a value.
    if (isFree && (octets < 8 || start.readBigUInt64LE(0) > BigInt(octets / 8 - 1))) {
      this.#damaged(`page ${number}: a free list longer than its value`)
    }
    if ((flags & nodeFlags.subDatabase) !== 0) {
      if (octets < 48) this.#damaged(`page ${number}: a short database`)
      below.push(page.readBigUInt64LE(data + 40))
    }
  }

  /** Checks a value's pages. @returns the first octets of the value. */
  #overflow(first: bigint, octets: number): Buffer {
    const number = this.#take(first)
    const header = Buffer.alloc(headerOctets + 8)
    readSync(this.#file, header, 0, header.length, number * this.#pageOctets)
    const pages = Math.ceil((octets + headerOctets) / this.#pageOctets)
    const isOverflow = (header.readUInt16LE(18) & pageFlags.overflow) !== 0
    if (!isOverflow || header.readUInt32LE(20) < pages || number + pages - 1 > this.#lastPage) {
      this.#damaged(`page ${number}: overflow pages lie outside`)
    }
    return header.subarray(headerOctets)
  }

  /** A page number as a number: inside the file and in the tree once. */
  #take(page: bigint): number {
    if (page < 2n || page > BigInt(this.#lastPage)) this.#damaged(`page ${page} is outside`)
    const number = Number(page)
    const bit = 1 << (number & 7)
    const seen = this.#seen[number >> 3] ?? 0
    if ((seen & bit) !== 0) this.#damaged(`page ${number} stands in the tree twice`)
    this.#seen[number >> 3] = seen | bit
    this.#pages += 1
    return number
  }

  #read(number: number): Buffer {
    const page = Buffer.allocUnsafe(this.#pageOctets)
    if (readSync(this.#file, page, 0, page.length, number * page.length) < page.length) {
      this.#damaged(`page ${number} is cut`)
    }
    if (page.readBigUInt64LE(0) !== BigInt(number)) this.#damaged(`page ${number} is another page`)
    return page
  }

  #damaged(what: string): never {
    throw new OperatingError('STORE_DAMAGED', `${this.#path}: ${what}`)
  }
}

function childOf(page: Buffer, node: number): bigint {
  const low = page.readUInt16LE(node) + page.readUInt16LE(node + 2) * 65_536
  return BigInt(low) + (BigInt(page.readUInt16LE(node + 4)) << 32n)
}
