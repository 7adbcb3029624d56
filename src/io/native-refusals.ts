/**
 * Refusals as the native gate tells them: entries of one size, read as objects or, where a form
 * fits, written as lines without any (native/gate/refusal_lines.hpp).
 */
import type { Refusal, RefusalCause, RefusalForm, RefusalWriter } from './gate.ts'
import { plainAddress } from './proxy-header.ts'
import { refusalIdText } from './refusal-id.ts'

/** What this part uses of the addon; the handle is opaque. */
export interface RefusalAddon {
  newRefusalLines(): object
  refusalLinesForm(lines: object, entry: Uint8Array, form: RefusalForm): void
  refusalLinesSecond(lines: object, second: number, text: string): void
  refusalLinesClear(lines: object): void
  refusalLinesWrite(
    lines: object,
    entries: Uint8Array,
    into: Uint8Array,
    written: Uint32Array,
  ): void
}

/** struct RefusalEntry of native/gate/refusal_ring.hpp. */
export const refusalEntryOctets = 48

/** As native/gate/refusal_ring.hpp number them. */
const causes: readonly RefusalCause[] = [
  'blacklist',
  'early-talker',
  'per-address',
  'rate',
  'overload',
  'proxy-header',
  'stopping',
]
const actions: readonly Refusal['action'][] = [
  'refuse',
  'tarpit',
  'reset',
  'drop',
  'observe',
  'tempfail',
]
/** Lines of one call; one line is far shorter. Larger strings would each be mapped and unmapped. */
const linesOctets = 65_536
/** RefusalLines::Stop of native/gate/refusal_lines.hpp. */
const stop = { none: 0, full: 1, second: 2, form: 3, outside: 4 } as const

/** Reads the entries of one buffer. */
export class NativeRefusals {
  readonly #addon: RefusalAddon
  readonly #entries: Uint8Array
  readonly #view: DataView
  readonly #lines: object
  readonly #into = Buffer.alloc(linesOctets)
  readonly #written = new Uint32Array(3)
  #writer: RefusalWriter | undefined

  constructor(addon: RefusalAddon, entries: Uint8Array) {
    this.#addon = addon
    this.#entries = entries
    this.#view = new DataView(entries.buffer, entries.byteOffset, entries.byteLength)
    this.#lines = addon.newRefusalLines()
  }

  /** The first `count` entries to the writer, in order. */
  write(writer: RefusalWriter, count: number): void {
    if (writer !== this.#writer) this.#addon.refusalLinesClear(this.#lines)
    this.#writer = writer
    const end = count * refusalEntryOctets
    for (let at = 0; at < end; ) {
      const entries = this.#entries.subarray(at, end)
      this.#addon.refusalLinesWrite(this.#lines, entries, this.#into, this.#written)
      const [taken = 0, octets = 0, why = stop.none] = this.#written
      if (octets > 0) writer.lines(this.#into.toString('latin1', 0, octets), taken)
      at += taken * refusalEntryOctets
      if (at < end) at = this.#goPast(writer, at, why)
    }
  }

  /** What kept the entry from being written. @returns where to go on. */
  #goPast(writer: RefusalWriter, at: number, why: number): number {
    const refusal = this.read(at / refusalEntryOctets)
    if (why === stop.second) {
      const second = Math.floor(refusal.time / 1000)
      this.#addon.refusalLinesSecond(this.#lines, second, writer.second(refusal.time))
      return at
    }
    if (why === stop.form) {
      const entry = this.#entries.subarray(at, at + refusalEntryOctets)
      this.#addon.refusalLinesForm(this.#lines, entry, writer.formOf(refusal) ?? [])
      return at
    }
    if (why === stop.full && this.#written[0] !== 0) return at
    writer.refusal(refusal)
    return at + refusalEntryOctets
  }

  /** An entry by its number. */
  read(index: number): Refusal {
    const view = this.#view
    const at = index * refusalEntryOctets
    return {
      time: view.getFloat64(at, true),
      id: refusalIdText(view.getUint32(at + 24, true), view.getUint32(at + 28, true)),
      address: this.#readAddress(at + 8),
      port: view.getUint16(at + 36, true),
      cause: causes[view.getUint8(at + 40)] ?? 'blacklist',
      action: actions[view.getUint8(at + 41)] ?? 'refuse',
      verdictClass: view.getUint16(at + 38, true),
      octets: view.getUint32(at + 32, true),
    }
  }

  /** Two halves of 64 bits in the machine's order; IPv4 as IPv4-mapped. */
  #readAddress(at: number): string {
    const view = this.#view
    const low = view.getUint32(at + 8, true)
    const isVersion4 =
      view.getBigUint64(at, true) === 0n && view.getUint32(at + 12, true) === 0xffff
    if (isVersion4) return `${low >>> 24}.${(low >>> 16) & 255}.${(low >>> 8) & 255}.${low & 255}`
    const words = [at + 4, at, at + 12, at + 8].map((from) => view.getUint32(from, true))
    const groups = words.flatMap((word) => [word >>> 16, word & 0xffff])
    return plainAddress(groups.map((group) => group.toString(16)).join(':'))
  }
}
