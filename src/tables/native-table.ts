/**
 * The native table: the `prefix` form and the default. One copy in memory for all threads.
 *
 * A question for an IPv4 class is answered in JavaScript, which reads the compiled structure itself
 * (compiled-view.ts); for IPv6, near entered prefixes, and for lists and prefix, one call without
 * arguments asks the native side (native/core). A thread attaches by the table's handle, a number
 * that may be posted to it; the thread that opened the table closes it, and those attached keep it
 * alive.
 *
 * Any thread may replace, add and remove; the change is seen by all at their next question.
 */
import { OperatingError } from '../base/errors.ts'
import {
  formatPrefix,
  maskOf,
  newPrefixCell,
  type PrefixCell,
  parseAddress,
} from '../base/ip-address.ts'
import type { PrefixColumns } from '../base/prefix-columns.ts'
import { askNative, CompiledView } from './compiled-view.ts'
import { columnsOf, parseOrThrow } from './entries.ts'
import type {
  AddOptions,
  IpMatch,
  IpOrigin,
  IpTable,
  IpTableForm,
  IpTableSizes,
  RemoveOptions,
  TableImage,
  VerdictClass,
} from './ip-table.ts'
import { parseIpv4Text } from './ipv4-text.ts'
import {
  mailboxPlace,
  type NativeAttachment,
  type NativeImage,
  type NativeOrigin,
  tableAddon,
} from './native-addon.ts'
import { checkNative, imageOrThrow } from './native-faults.ts'

/**
 * IPv4 addresses and the place for their classes, known to the addon in advance: for small batches.
 */
export interface AddressBatch {
  readonly addresses: Uint32Array
  readonly classes: Uint16Array
  /** Fills the classes of `count` addresses, the first at `from`. No allocation. */
  run(from: number, count: number): void
}

/** What the native table offers beyond IpTable. */
export interface NativeIpTable extends IpTable {
  /** The class of an IPv4 address given as an unsigned number, 0 = not listed. No allocation. */
  lookupClass4(address: number): VerdictClass
  /**
   * The bitmap in front: an address may be listed where bit `a >>> 8 & 31` of word `a >>> 13` is
   * set.
   */
  readonly any24: Readonly<Uint32Array>
  /** Buffers of up to 16,777,216 addresses; lives until nobody holds it. */
  newBatch(capacity: number): AddressBatch
}

/**
 * The `prefix` form. Its functions throw OperatingError ADDON_MISSING where the addon does not
 * load.
 */
export const nativeTable = {
  form: 'prefix',
  fromPrefixes: (entries) => openImage(compile(columnsOf(entries))),
  fromColumns: (columns) => openImage(compile(columns)),
  compile: (columns) => ({ form: 'prefix', content: compile(columns) }),
  open: (image) => openImage(imageNumber(image)),
  own: (handle) => new NativeTable(handle, true),
  discard: (image) => tableAddon().tableDiscard(imageNumber(image)),
  load: (path) => openImage(imageNumber(loadImage({ path }))),
} satisfies IpTableForm

/**
 * The image of a snapshot, checked: a task of the CPU pool. Throws OperatingError SNAPSHOT_DAMAGED,
 * SNAPSHOT_FOREIGN, SNAPSHOT_UNREADABLE.
 */
export function loadImage({ path }: { readonly path: string }): TableImage {
  return { form: 'prefix', content: imageOrThrow(tableAddon().tableLoad(path), `snapshot ${path}`) }
}

/** A second image of the same compiled prefixes, at no cost: images are used once. */
export function repeatImage(image: TableImage): TableImage {
  return { form: 'prefix', content: tableAddon().tableRepeat(imageNumber(image)) }
}

/**
 * The table of another thread by its handle. Throws OperatingError TABLE_UNKNOWN after its close.
 */
export function attachNativeTable(handle: number): NativeIpTable {
  return new NativeTable(handle, false)
}

function compile(columns: PrefixColumns): number {
  const compiled: NativeImage = tableAddon().tableCompile(columns)
  return imageOrThrow(compiled, 'ip table')
}

function imageNumber(image: TableImage): number {
  if (image.form === 'prefix') return image.content as number
  throw new OperatingError(
    'TABLE_FORM',
    `table: an image of form ${image.form} given to a table of form prefix: compile it as prefix`,
  )
}

function openImage(image: number): NativeIpTable {
  const table = new NativeTable(tableAddon().tableCreate(), true)
  try {
    table.publish(image)
    return table
  } catch (fault) {
    table.close()
    throw fault
  }
}

class NativeTable implements NativeIpTable {
  readonly form = 'prefix'
  readonly handle: number
  readonly #isOwner: boolean
  readonly #native: NativeAttachment
  readonly any24: Uint32Array
  readonly #compiled: CompiledView
  readonly #mailbox: Uint32Array
  readonly #lookup4: () => void
  readonly #cell = newPrefixCell()
  /** Names of classes given out, until numbers are taken back. */
  #listsByClass: (readonly string[] | undefined)[] = []
  #takenBack = 0

  constructor(handle: number, isOwner: boolean) {
    const native = tableAddon().tableAttach(handle)
    if (native?.any24 == null || native.signals == null || native.mailbox == null) {
      throw notAttachable(handle, native)
    }
    this.handle = handle
    this.#isOwner = isOwner
    this.#native = native
    this.any24 = new Uint32Array(native.any24)
    this.#compiled = new CompiledView(native, this.any24, new Uint32Array(native.signals))
    this.#mailbox = new Uint32Array(native.mailbox)
    this.#lookup4 = native.lookup4
  }

  lookup(address: string): IpMatch | undefined {
    const isIpv4 = this.#ask(address)
    if (isIpv4 && !this.#mayList(this.#mailbox[mailboxPlace.ipv4] ?? 0)) return undefined
    this.#native.match()
    const mailbox = this.#mailbox
    const verdictClass = mailbox[mailboxPlace.class] ?? 0
    if (verdictClass === 0) return undefined
    this.#dropStaleNames(mailbox[mailboxPlace.takenBack] ?? 0)
    const prefix = prefixAround(mailbox, isIpv4, mailbox[mailboxPlace.length] ?? 0)
    return { lists: this.#namesOf(verdictClass), prefix }
  }

  lookupClass(address: string): VerdictClass {
    const mailbox = this.#mailbox
    if (parseIpv4Text(address, mailbox, mailboxPlace.ipv4) || this.#ask(address)) {
      // Signed, so that it needs no memory of its own where a call is not inlined.
      return this.lookupClass4((mailbox[mailboxPlace.ipv4] ?? 0) | 0)
    }
    this.#native.lookup6()
    return mailbox[mailboxPlace.class] ?? 0
  }

  lookupClass4(address: number): VerdictClass {
    const found = this.#compiled.tryClassOf(address)
    if (found !== askNative) return found
    this.#mailbox[mailboxPlace.ipv4] = address
    this.#lookup4()
    return this.#mailbox[mailboxPlace.class] ?? 0
  }

  lookupMany(addresses: Uint32Array, classes: Uint16Array): Uint16Array {
    return this.#native.lookupMany(addresses, classes)
  }

  lookupMany6(words: Uint32Array, classes: Uint16Array): Uint16Array {
    return this.#native.lookupMany6(words, classes)
  }

  newBatch(capacity: number): AddressBatch {
    const native = this.#native.newBatch(capacity)
    const mailbox = this.#mailbox
    const run = native.run
    return {
      addresses: new Uint32Array(native.addresses),
      classes: new Uint16Array(native.classes),
      run: (from, count) => {
        mailbox[mailboxPlace.from] = from
        mailbox[mailboxPlace.count] = count
        run()
      },
    }
  }

  listsOf(verdictClass: VerdictClass): readonly string[] {
    return this.#native.listsOf(verdictClass)
  }

  explain(address: string): readonly IpOrigin[] {
    const isIpv4 = this.#ask(address)
    const origins = this.#native.origins()
    if (typeof origins !== 'number') return origins.map((one) => this.#originOf(one, isIpv4))
    checkNative(origins, `explain ${address}`, 'the table’s snapshot has been changed')
    return []
  }

  add(prefix: string, options: AddOptions): void {
    const { length, isIpv4 } = this.#askPrefix(prefix)
    checkNative(this.#native.add(length, isIpv4, options.list, options.ttlMs ?? -1), 'ip table')
  }

  remove(prefix: string, options: RemoveOptions = {}): void {
    const { length, isIpv4 } = this.#askPrefix(prefix)
    const error = this.#native.remove(length, isIpv4, options.list, options.ttlMs ?? -1)
    checkNative(error, 'ip table')
  }

  replace(image: TableImage): void {
    this.publish(imageNumber(image))
  }

  /** Publishes an image of this form by its number. */
  publish(image: number): void {
    checkNative(this.#native.publish(image), 'ip table')
  }

  sizes(): IpTableSizes {
    return this.#native.sizes()
  }

  save(path: string): void {
    const reason = this.#native.save(path)
    if (reason === '') return
    throw new OperatingError('SNAPSHOT_UNWRITABLE', `snapshot ${path}: ${reason}`)
  }

  close(): void {
    if (this.#isOwner) tableAddon().tableForget(this.handle)
  }

  #mayList(address: number): boolean {
    return (((this.any24[address >>> 13] ?? 0) >>> ((address >>> 8) & 31)) & 1) === 1
  }

  /** Puts an address into the mailbox. @returns whether it is IPv4 */
  #ask(address: string): boolean {
    if (parseIpv4Text(address, this.#mailbox, mailboxPlace.ipv4)) return this.#askIpv4()
    const cell = this.#cell
    const fault = parseAddress(address, cell)
    if (fault !== '') {
      throw new OperatingError(
        'ADDRESS_SYNTAX',
        `address ${JSON.stringify(address)}: ${fault}; write 192.0.2.7 or 2001:db8::7`,
      )
    }
    this.#mailbox.set(cell.words, mailboxPlace.words)
    if (cell.family === 6) return false
    this.#mailbox[mailboxPlace.ipv4] = cell.words[0] ?? 0
    return this.#askIpv4()
  }

  /** IPv4 stands in the mailbox as ::ffff:0:0/96; its own word is there already. */
  #askIpv4(): true {
    const mailbox = this.#mailbox
    mailbox[0] = 0
    mailbox[1] = 0
    mailbox[2] = 0xffff
    return true
  }

  #askPrefix(prefix: string): { readonly length: number; readonly isIpv4: boolean } {
    const cell: PrefixCell = parseOrThrow(prefix, this.#cell)
    this.#mailbox.set(cell.words, mailboxPlace.words)
    if (cell.family === 6) return { length: cell.length, isIpv4: false }
    this.#mailbox[mailboxPlace.ipv4] = cell.words[0] ?? 0
    this.#askIpv4()
    return { length: cell.length + 96, isIpv4: true }
  }

  #dropStaleNames(takenBack: number): void {
    if (takenBack === this.#takenBack) return
    this.#takenBack = takenBack
    this.#listsByClass = []
  }

  #namesOf(verdictClass: VerdictClass): readonly string[] {
    const known = this.#listsByClass[verdictClass]
    if (known !== undefined) return known
    const names = Object.freeze(this.#native.listsOf(verdictClass))
    this.#listsByClass[verdictClass] = names
    return names
  }

  #originOf(origin: NativeOrigin, isIpv4: boolean): IpOrigin {
    const { list, file, line, endsInMs } = origin
    return {
      list,
      prefix: prefixAround(this.#mailbox, isIpv4, origin.length),
      ...(file === '' ? {} : { file }),
      ...(line === 0 ? {} : { line }),
      ...(endsInMs === undefined ? {} : { expiresMs: Date.now() + endsInMs }),
    }
  }
}

const prefixWords = new Uint32Array(4)

/** The prefix of `length` bits of 128 around the address in the mailbox. */
function prefixAround(mailbox: Uint32Array, isIpv4: boolean, length: number): string {
  for (let word = 0; word < 4; word++) {
    const bits = Math.min(32, Math.max(0, length - word * 32))
    prefixWords[word] = (mailbox[word] ?? 0) & maskOf(bits)
  }
  if (!isIpv4) return formatPrefix(6, prefixWords, length)
  return formatPrefix(4, prefixWords, length - 96, mailboxPlace.ipv4)
}

function notAttachable(handle: number, native: NativeAttachment | undefined): OperatingError {
  return native === undefined
    ? new OperatingError('TABLE_UNKNOWN', `ip table ${handle}: closed, or of another process`)
    : new OperatingError('ADDON_MISSING', 'ip table: this runtime allows no external buffers')
}
