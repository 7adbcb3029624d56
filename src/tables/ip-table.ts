/**
 * IpTable: which lists hold an address. The face of every form of table.
 *
 * Forms: `prefix` (native, the default), `text` (reference-table.ts, slow and obvious), `bitmap24`
 * (a bit refuses the whole /24, in a file), `hashed` (LMDB). All pass test/contract/ip-table.ts.
 *
 * Meaning, the same in each form:
 * - A list holds an address if the longest of the list's entries around it is no exclusion; among
 *   equally long ones the exclusion wins. Lists do not touch each other: the answer is the *set* of
 *   all lists that hold the address, its verdict class.
 * - add() and remove() enter prefixes beside the compiled ones. Where an entered prefix of a list
 *   holds the address the longest such decides for that list, else the compiled ones do. remove()
 *   takes away what was entered within its prefix and excludes the rest: afterwards no address in
 *   it is held. What is entered ends with its TTL and outlives replace().
 * - An IPv4-mapped IPv6 address is IPv4, in questions and in entries. An IPv6 prefix shorter than
 *   /96 that would cover ::ffff:0:0/96 holds no IPv4 address.
 * - A class number keeps its meaning at least until the second replace() after it was given out.
 *
 * All methods are synchronous. The formats of list files: docs/list-formats.md.
 */
import type { PrefixColumns } from '../base/prefix-columns.ts'

/** Number of a set of lists in one table; 0 = no list. */
export type VerdictClass = number

/** The words of `lists.blacklist_form`. */
export type IpTableFormName = 'prefix' | 'bitmap24' | 'hashed' | 'text'

/** One prefix of a list, for small tables; big ones come as PrefixColumns. */
export interface PrefixEntry {
  /** `192.0.2.0/24`, `2001:db8::/32`, or an address. Host bits are cleared. */
  readonly prefix: string
  readonly list: string
  readonly file?: string
  /** From 1. */
  readonly line?: number
  /** An exclusion: the list does not hold what lies in it. */
  readonly isExcluded?: boolean
}

/** What lookup() answers for a listed address. */
export interface IpMatch {
  /** All lists that hold the address, in the order in which the table learnt their names. */
  readonly lists: readonly string[]
  /** The longest prefix around the address among the entries of those lists. */
  readonly prefix: string
}

/** One entry that holds an address. */
export interface IpOrigin {
  readonly list: string
  readonly prefix: string
  /** Absent for entries of add() and for entries without one. */
  readonly file?: string
  readonly line?: number
  /** Milliseconds since 1970 at which an entry of add() ends; absent = it stays. */
  readonly expiresMs?: number
}

/** Into which list, and for how long. */
export interface AddOptions {
  readonly list: string
  /** Milliseconds from now; absent = until removed. */
  readonly ttlMs?: number
}

/** From which list, and for how long; without a list: from all. */
export interface RemoveOptions {
  readonly list?: string
  /** Milliseconds after which compiled entries count again; absent = for good. */
  readonly ttlMs?: number
}

/** Sizes, for metrics and `status`. */
export interface IpTableSizes {
  readonly prefixes4: number
  readonly prefixes6: number
  /** The highest class; numbers begin at 1. */
  readonly classes: number
  readonly addedPrefixes: number
  /** Octets of the lookup structure, without provenance. */
  readonly tableBytes: number
}

/**
 * A compiled table on its way from the thread that built it to the one that publishes it.
 * Structured-cloneable; used once, by open() or replace() of the same form, else given to
 * discard().
 */
export interface TableImage {
  readonly form: IpTableFormName
  readonly content: unknown
}

/** A table of addresses. See the file's head for what it means. */
export interface IpTable {
  readonly form: IpTableFormName
  /** What native parts (gate) know the table by; 0 = not native. */
  readonly handle: number
  /** The match of an address, or undefined. Throws OperatingError ADDRESS_SYNTAX on other texts. */
  lookup(address: string): IpMatch | undefined
  /** The class of an address, 0 = not listed; throws like lookup. No allocation in native forms. */
  lookupClass(address: string): VerdictClass
  /** The classes of IPv4 addresses into `classes` (at least as long); returns `classes`. */
  lookupMany(addresses: Uint32Array, classes: Uint16Array): Uint16Array
  /** The same for IPv6: four words an address, most significant first. */
  lookupMany6(words: Uint32Array, classes: Uint16Array): Uint16Array
  /** The lists of a class; [] for 0 and for a number never given out. */
  listsOf(verdictClass: VerdictClass): readonly string[]
  /**
   * Every entry of every list that holds the address: longest first, then by list, file, line. A
   * native table that was loaded from a snapshot, or saved as one, reads files and lines there,
   * from the disk. Throws OperatingError SNAPSHOT_DAMAGED if that file has been changed.
   */
  explain(address: string): readonly IpOrigin[]
  /** Enters a prefix at once. Throws OperatingError PREFIX_SYNTAX, TABLE_ADDED_FULL. */
  add(prefix: string, options: AddOptions): void
  /** Makes the list (or all) hold no address of the prefix, at once. Throws like add. */
  remove(prefix: string, options?: RemoveOptions): void
  /**
   * Replaces the compiled prefixes at once; entered ones stay. Throws OperatingError TABLE_FORM.
   */
  replace(image: TableImage): void
  sizes(): IpTableSizes
  /** Writes a snapshot of the compiled prefixes; whole or not at all. Throws OperatingError. */
  save(path: string): void
  /** Gives memory and files back; the table is not used afterwards. */
  close(): void
}

/** How tables of one form come to be. */
export interface IpTableForm {
  readonly form: IpTableFormName
  /** Throws OperatingError PREFIX_SYNTAX naming the entry. */
  fromPrefixes(entries: Iterable<PrefixEntry>): IpTable
  fromColumns(columns: PrefixColumns): IpTable
  /** Compiles without publishing: for a thread of the CPU pool. Throws TABLE_TOO_MANY_CLASSES. */
  compile(columns: PrefixColumns): TableImage
  open(image: TableImage): IpTable
  /**
   * Native forms only: a table that another thread made and left to this one (publish-images.ts).
   */
  own?(handle: number): IpTable
  /** Frees an image that will not be used. */
  discard(image: TableImage): void
  /**
   * Reads a snapshot. Throws OperatingError SNAPSHOT_DAMAGED, SNAPSHOT_FOREIGN,
   * SNAPSHOT_UNREADABLE.
   */
  load(path: string): IpTable
}
