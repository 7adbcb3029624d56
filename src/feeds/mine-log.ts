/**
 * Mining a log file: reads it from where the last run ended, follows it over rotation, and enters
 * what the miner finds, batch by batch, each together with the place up to which it was read, so
 * that a kill at any moment loses nothing and repeats little.
 *
 * A file is known by inode and beginning: after rotation the old one is read (by its open
 * descriptor) until something stands in the new one, since who writes may go on in the old one for
 * a while; then to its end, and the new one from its start. Compressed logs are read whole.
 */
import {
  closeSync,
  createReadStream,
  type FSWatcher,
  fstatSync,
  openSync,
  readSync,
  statSync,
  watch,
} from 'node:fs'
import { createGunzip } from 'node:zlib'
import { messageOf, OperatingError } from '../base/errors.ts'
import { miningBatchMax, miningLineOctetsMax } from '../base/limits.ts'
import { LogMiner } from './log-miner.ts'

/** How far a file was read. */
export interface MiningPlace {
  readonly inode: number
  /** Octets. */
  readonly offset: number
  /** The file's first octets. */
  readonly head: string
}

/** Where the addresses go. */
export interface MiningSink {
  place(file: string): MiningPlace | undefined
  /** Enters the addresses and the place together, or neither and throws. */
  enter(addresses: readonly string[], file: string, place: MiningPlace): void
}

/** What a run did. */
export interface MiningReport {
  readonly lines: number
  readonly linesLeftOut: number
  readonly addresses: number
}

/** How to mine. */
export interface MiningOptions {
  readonly isOurDomain: (domain: string) => boolean
  readonly sink: MiningSink
  /** Called after each batch. */
  readonly onProgress?: (report: MiningReport) => void
  /** Go on until aborted. */
  readonly follow?: AbortSignal
}

const chunkOctets = 256 * 1024
const headOctets = 64
/** How far back a resumed run reads for the senders of messages that were still open. */
const openMessagesOctetsMax = 1024 * 1024
const lookAgainMs = 1000

/** Mines a file. Throws OperatingError LOG_UNREADABLE. */
export async function mineLog(file: string, options: MiningOptions): Promise<MiningReport> {
  const run = new MiningRun(file, options)
  try {
    if (file.endsWith('.gz')) await run.readCompressed()
    else await run.read()
    return run.report()
  } catch (error) {
    if (error instanceof OperatingError) throw error
    const message = `${file}: ${messageOf(error)}; name a mail log that can be read`
    throw new OperatingError('LOG_UNREADABLE', message)
  }
}

class MiningRun {
  readonly #file: string
  readonly #options: MiningOptions
  #miner: LogMiner
  #found = new Set<string>()
  #lines = 0
  #linesLeftOut = 0
  #addresses = 0
  #partial = Buffer.alloc(0)
  #isLeftOut = false
  /** The file that was being read has been cut: nothing of its place holds. */
  #isCut = false

  constructor(file: string, options: MiningOptions) {
    this.#file = file
    this.#options = options
    this.#miner = new LogMiner(options.isOurDomain)
  }

  report(): MiningReport {
    return { lines: this.#lines, linesLeftOut: this.#linesLeftOut, addresses: this.#addresses }
  }

  async readCompressed(): Promise<void> {
    let offset = 0
    const { ino } = statSync(this.#file)
    for await (const chunk of createReadStream(this.#file).pipe(createGunzip())) {
      this.#takeChunk(chunk as Buffer, offset)
      offset += (chunk as Buffer).length
      if (this.#found.size >= miningBatchMax) await this.#enter({ inode: ino, offset: 0, head: '' })
    }
    await this.#enter({ inode: ino, offset: 0, head: '' })
  }

  /** The file, and with `follow` whatever takes its name after it. */
  async read(): Promise<void> {
    const { follow } = this.#options
    let descriptor: number | undefined = openSync(this.#file, 'r')
    while (descriptor !== undefined) {
      try {
        await this.#readOpened(descriptor)
      } finally {
        closeSync(descriptor)
      }
      descriptor = follow === undefined ? undefined : await this.#openNext(follow)
    }
  }

  /** Waits while no file has the name; undefined when aborted. */
  async #openNext(follow: AbortSignal): Promise<number | undefined> {
    while (!follow.aborted) {
      const descriptor = ifThere(() => openSync(this.#file, 'r'))
      if (descriptor !== undefined) return descriptor
      await grown(this.#file, follow)
    }
    return undefined
  }

  async #readOpened(descriptor: number): Promise<void> {
    const { ino, size } = fstatSync(descriptor)
    let head = headOf(descriptor)
    let offset = this.#startOffset(ino, size, head)
    this.#partial = Buffer.alloc(0)
    const chunk = Buffer.alloc(chunkOctets)
    let isReplaced = false
    while (true) {
      const headNow = headOf(descriptor)
      // Cut and written anew, perhaps beyond the place where we are: begun anew with it.
      this.#isCut = !headNow.startsWith(head) || fstatSync(descriptor).size < offset
      if (this.#isCut) return
      head = headNow
      const octets = readSync(descriptor, chunk, 0, chunkOctets, offset)
      this.#takeChunk(chunk.subarray(0, octets), offset)
      offset += octets
      const place = { inode: ino, offset: this.#placeBefore(offset), head }
      if (octets < chunkOctets || this.#found.size >= miningBatchMax) await this.#enter(place)
      if (octets > 0) continue
      const { follow } = this.#options
      if (follow === undefined || follow.aborted || isReplaced) return
      // Then once more, for what was written into the old one before the new one.
      isReplaced = this.#isReplaced(ino)
      if (!isReplaced) await grown(this.#file, follow)
    }
  }

  /** Goes on where the last run ended, if this is the same file. */
  #startOffset(inode: number, size: number, head: string): number {
    if (this.#isCut) return 0
    const place = this.#options.sink.place(this.#file)
    const isSame = place?.inode === inode && place.offset <= size && head.startsWith(place.head)
    return isSame ? place.offset : 0
  }

  #placeBefore(offset: number): number {
    return this.#miner.resumeOffset(offset - this.#partial.length, openMessagesOctetsMax)
  }

  /** Has another file taken the name, and is it written? Made empty it says nothing yet. */
  #isReplaced(inode: number): boolean {
    const now = statSync(this.#file, { throwIfNoEntry: false })
    return now !== undefined && now.ino !== inode && now.size > 0
  }

  #takeChunk(chunk: Buffer, offset: number): void {
    const octets = this.#partial.length === 0 ? chunk : Buffer.concat([this.#partial, chunk])
    const base = offset - this.#partial.length
    let start = 0
    for (let end = octets.indexOf(0x0a); end >= 0; end = octets.indexOf(0x0a, start)) {
      this.#takeLine(octets.toString('utf8', start, end), base + start)
      start = end + 1
    }
    this.#partial = Buffer.from(octets.subarray(start))
    if (this.#partial.length <= miningLineOctetsMax) return
    this.#partial = Buffer.alloc(0)
    this.#isLeftOut = true
  }

  #takeLine(line: string, offset: number): void {
    this.#lines++
    if (this.#isLeftOut) {
      this.#isLeftOut = false
      this.#linesLeftOut++
      return
    }
    const text = line.endsWith('\r') ? line.slice(0, -1) : line
    for (const address of this.#miner.takeLine(text, offset)) this.#found.add(address)
  }

  async #enter(place: MiningPlace): Promise<void> {
    const addresses = [...this.#found]
    this.#found = new Set()
    this.#addresses += addresses.length
    await this.#options.sink.enter(addresses, this.#file, place)
    this.#options.onProgress?.(this.report())
  }
}

function headOf(descriptor: number): string {
  const head = Buffer.alloc(headOctets)
  return head.toString('latin1', 0, readSync(descriptor, head, 0, headOctets, 0))
}

/** Resolves when the file may have grown or been replaced, or when aborted. */
function grown(file: string, follow: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const watcher: FSWatcher | undefined = ifThere(() => watch(file, () => done()))
    watcher?.on('error', () => done())
    const timer = setTimeout(() => done(), lookAgainMs)
    const done = (): void => {
      watcher?.close()
      clearTimeout(timer)
      follow.removeEventListener('abort', done)
      resolve()
    }
    follow.addEventListener('abort', done)
  })
}

/** Rotation may take a file away at any moment: undefined then. */
function ifThere<T>(open: () => T): T | undefined {
  try {
    return open()
  } catch (fault) {
    if ((fault as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw fault
  }
}
