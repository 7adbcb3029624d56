/**
 * Maildir: a message is in `new/` whole and on disk, or not at all.
 *
 * Written in `tmp/`, synced, renamed into `new/`, the folder synced (cr.yp.to/proto/maildir.html).
 * Line ends are stored as LF, as readers of Maildirs expect them.
 */
import { mkdirSync } from 'node:fs'
import { type FileHandle, open, rename, unlink } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'

const cr = 0x0d
const lf = 0x0a

/** One Maildir. */
export class Maildir {
  readonly #folder: string
  #count = 0

  /** Makes the folders where they are missing. Throws where that is impossible. */
  constructor(folder: string) {
    this.#folder = folder
    for (const part of ['tmp', 'new', 'cur']) {
      mkdirSync(join(folder, part), { recursive: true, mode: 0o700 })
    }
  }

  /** Begins a message. */
  async begin(head: string): Promise<MaildirMessage> {
    const name = this.#newName()
    const file = await open(join(this.#folder, 'tmp', name), 'wx', 0o600)
    const message = new MaildirMessage(this.#folder, name, file)
    await message.write(Buffer.from(head, 'latin1'))
    return message
  }

  #newName(): string {
    this.#count++
    const host = hostname().replace(/[/:]/g, '_')
    return `${Math.floor(Date.now() / 1000)}.P${process.pid}Q${this.#count}R${Math.random().toString(36).slice(2, 8)}.${host}`
  }
}

/** A message that is being written. */
export class MaildirMessage {
  readonly #folder: string
  readonly #name: string
  readonly #file: FileHandle
  /** A CR at the end of the last octets: an LF may follow. */
  #heldCr = false

  constructor(folder: string, name: string, file: FileHandle) {
    this.#folder = folder
    this.#name = name
    this.#file = file
  }

  /** Appends octets, CRLF stored as LF. */
  async write(octets: Uint8Array): Promise<void> {
    const kept = Buffer.allocUnsafe(octets.length + 1)
    let length = 0
    for (const octet of octets) {
      if (this.#heldCr && octet !== lf) kept[length++] = cr
      this.#heldCr = octet === cr
      if (!this.#heldCr) kept[length++] = octet
    }
    // A disk that is nearly full takes a part at first, and says so with the next.
    for (let at = 0; at < length; ) {
      at += (await this.#file.write(kept, at, length - at)).bytesWritten
    }
  }

  /** Whole: from here on the message survives a power cut. */
  async deliver(): Promise<void> {
    await this.#file.sync()
    await this.#file.close()
    await rename(join(this.#folder, 'tmp', this.#name), join(this.#folder, 'new', this.#name))
    const folder = await open(join(this.#folder, 'new'))
    await folder.sync()
    await folder.close()
  }

  /** Not to be: removed. */
  async discard(): Promise<void> {
    await this.#file.close()
    await unlink(join(this.#folder, 'tmp', this.#name))
  }
}
