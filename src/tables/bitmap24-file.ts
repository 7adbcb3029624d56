/**
 * Bitmap24File: the described blacklist, a bit per /24 in a file of exactly 2 MiB (B4).
 *
 * Byte and bit addressed: the block a.b.c.0/24 is number a·65536 + b·256 + c; its bit stands in
 * octet number ÷ 8, the most significant first. The file has no head, so that any program can read
 * a bit of it by one seek. It is read into memory once; set() and clear() change the octet in
 * memory and in the file, so that a restart finds the same bits.
 */
import {
  closeSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { messageOf, OperatingError } from '../base/errors.ts'
import { writeDurable } from '../files/durable-file.ts'

const bitmapOctets = 2 ** 21

/** An open bitmap. One writer at a time; owned by one thread. */
export class Bitmap24File {
  /** Octets of every such file. */
  static readonly octets = bitmapOctets

  readonly path: string
  readonly octets = bitmapOctets
  readonly #file: number
  readonly #bits: Uint8Array

  private constructor(path: string, file: number, bits: Uint8Array) {
    this.path = path
    this.#file = file
    this.#bits = bits
  }

  /** Writes a new file, whole or not at all. Throws OperatingError FILE_WRITE. */
  static create(path: string, bits: Uint8Array = new Uint8Array(bitmapOctets)): void {
    mkdirSync(dirname(path), { recursive: true })
    writeDurable(path, [bits])
  }

  /** Opens a file. Throws OperatingError BITMAP_UNREADABLE, also for another size than 2 MiB. */
  static open(path: string): Bitmap24File {
    let file: number
    try {
      file = openSync(path, 'r+')
    } catch (fault) {
      throw unreadable(path, messageOf(fault))
    }
    const { size } = fstatSync(file)
    const bits = new Uint8Array(bitmapOctets)
    if (size === bitmapOctets && readSync(file, bits, 0, bitmapOctets, 0) === bitmapOctets) {
      return new Bitmap24File(path, file, bits)
    }
    closeSync(file)
    throw unreadable(path, `has ${size} octets, not ${bitmapOctets}`)
  }

  /** Deletes a file that nobody uses any more. */
  static delete(path: string): void {
    rmSync(path, { force: true })
  }

  /** Whether the bit of the address's /24 is set. One octet read, no allocation. */
  has(address: number): boolean {
    return ((this.#bits[address >>> 11] ?? 0) & (0x80 >>> ((address >>> 8) & 7))) !== 0
  }

  /** Sets the bit of the address's /24, in the file too. */
  set(address: number): void {
    this.#write(address, (octet, mask) => octet | mask)
  }

  /** Clears the bit of the address's /24, in the file too. */
  clear(address: number): void {
    this.#write(address, (octet, mask) => octet & ~mask)
  }

  /** Makes changes durable. */
  sync(): void {
    fsyncSync(this.#file)
  }

  close(): void {
    closeSync(this.#file)
  }

  #write(address: number, change: (octet: number, mask: number) => number): void {
    const at = address >>> 11
    const octet = change(this.#bits[at] ?? 0, 0x80 >>> ((address >>> 8) & 7))
    this.#bits[at] = octet
    writeSync(this.#file, Uint8Array.of(octet), 0, 1, at)
  }
}

function unreadable(path: string, why: string): OperatingError {
  const message = `bitmap ${path}: ${why}; delete it, and the next load makes a new one`
  return new OperatingError('BITMAP_UNREADABLE', message)
}
