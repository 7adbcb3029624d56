/**
 * What the native table uses of the addon: the types of native/binding/ip_table.cpp and
 * table_attachment.cpp, and the addon itself, or a clear refusal where it does not load.
 */
import { addonFault, loadAddon } from '../addon/addon.ts'
import { OperatingError } from '../base/errors.ts'
import type { PrefixColumns } from '../base/prefix-columns.ts'

/** Places in the mailbox, see table_attachment.cpp. */
export const mailboxPlace = {
  words: 0,
  ipv4: 3,
  class: 4,
  length: 5,
  takenBack: 6,
  count: 7,
  from: 8,
} as const

/** An image, or why there is none. */
export type NativeImage =
  | { readonly image: number }
  | { readonly image?: undefined; readonly error: number; readonly reason?: string }

/** One entry that holds an address; `length` in bits of 128. */
export interface NativeOrigin {
  readonly list: string
  readonly length: number
  readonly file: string
  readonly line: number
  readonly endsInMs?: number
}

/** Buffers known to the addon in advance. */
export interface NativeBatch {
  readonly addresses: ArrayBuffer
  readonly classes: ArrayBuffer
  readonly run: () => void
}

/** The compiled IPv4 structure of one publication; the buffers hold its memory. */
export interface NativeImage4 {
  readonly publication: number
  readonly chunks: ArrayBuffer
  readonly entries: ArrayBuffer
  readonly groups: ArrayBuffer
  readonly meanings: ArrayBuffer
}

/** One table as one thread sees it. Questions of raw functions pass through the mailbox. */
export interface NativeAttachment {
  readonly any24: ArrayBuffer | null
  readonly signals: ArrayBuffer | null
  readonly mailbox: ArrayBuffer | null
  readonly lookup4: () => void
  readonly lookup6: () => void
  readonly match: () => void
  image4(): NativeImage4
  lookupMany(addresses: Uint32Array, classes: Uint16Array): Uint16Array
  lookupMany6(words: Uint32Array, classes: Uint16Array): Uint16Array
  newBatch(capacity: number): NativeBatch
  listsOf(verdictClass: number): readonly string[]
  /** Or the number of a fault: files and lines are read from the snapshot where there is one. */
  origins(): readonly NativeOrigin[] | number
  publish(image: number): number
  add(length: number, isIpv4: boolean, list: string, ttlMs: number): number
  remove(length: number, isIpv4: boolean, list: string | undefined, ttlMs: number): number
  sizes(): {
    readonly prefixes4: number
    readonly prefixes6: number
    readonly classes: number
    readonly addedPrefixes: number
    readonly tableBytes: number
  }
  save(path: string): string
}

/** The functions of the addon that tables use. */
export interface TableAddon {
  tableCompile(columns: PrefixColumns): NativeImage
  tableLoad(path: string): NativeImage
  tableRepeat(image: number): number
  tableDiscard(image: number): void
  tableCreate(): number
  tableForget(handle: number): void
  tableAttach(handle: number): NativeAttachment | undefined
}

/** The addon. Throws OperatingError ADDON_MISSING where it does not load: use form `text` there. */
export function tableAddon(): TableAddon {
  const addon = loadAddon()
  if (addon !== undefined) return addon as unknown as TableAddon
  throw new OperatingError(
    'ADDON_MISSING',
    `ip table: the native addon does not load (${addonFault() ?? 'unknown reason'}): build it, or use form text`,
  )
}
