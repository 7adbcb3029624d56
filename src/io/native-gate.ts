/**
 * The accept gate over native/gate: a thread of its own, which goes on while JavaScript is blocked.
 *
 * This half only passes orders on and fetches what happened: nothing of a refused connection comes
 * here but its entry in the ring. Both tables and engines are named by handle, so that the gate's
 * thread never waits for this one.
 */
import { getSystemErrorName } from 'node:util'
import { loadAddon } from '../addon/addon.ts'
import {
  countedAddressesMax,
  listenBacklogMax,
  proxyHeaderWaitMs,
  refusalsMax,
  tarpitOctetMs,
} from '../base/limits.ts'
import type {
  EngineToken,
  Gate,
  GateAction,
  GateCounters,
  GatePolicy,
  Refusal,
  RefusalCause,
} from './gate.ts'
import { listenAddressText, listenFault, parseListenAddress } from './listen-address.ts'
import { plainAddress } from './proxy-header.ts'
import { refusalIdText } from './refusal-id.ts'

/** What this part uses of the addon; the handle is opaque. */
interface GateAddon {
  newGate(limits: object): object
  gateListen(handle: object, address: string, port: number, bound: Int32Array): number
  gateConfigure(handle: object, policy: object): void
  gateAddWorker(handle: object, token: number): void
  gateRemoveWorker(handle: object, token: number): void
  gateRefusals(handle: object, entries: Uint8Array): number
  gateCounters(handle: object, values: Uint32Array): void
  gateDrain(handle: object): void
  gateClose(handle: object): void
}

/** As native/gate/refusal_ring.hpp and policy.hpp number them. */
const causes: readonly RefusalCause[] = [
  'blacklist',
  'early-talker',
  'per-address',
  'rate',
  'overload',
  'proxy-header',
]
const actions: readonly Refusal['action'][] = [
  'refuse',
  'tarpit',
  'reset',
  'drop',
  'observe',
  'tempfail',
]
const ruleActions: readonly GateAction[] = ['refuse', 'tarpit', 'reset', 'drop', 'observe']
const earlyTalkerModes: readonly GatePolicy['earlyTalker'][] = [
  'off',
  'observe',
  'tempfail',
  'enforce',
]
/** In the order of enum Counter in native/gate/gate.hpp. */
const counterNames: readonly (keyof GateCounters)[] = [
  'accepted',
  'passed',
  'refused',
  'reset',
  'dropped',
  'tarpitted',
  'earlyTalkers',
  'limited',
  'overloaded',
  'refusalsLost',
  'tarpits',
  'waiting',
  'connections',
  'workers',
  'filteredBlocks',
]

/** struct RefusalEntry of native/gate/refusal_ring.hpp. */
const entryOctets = 48
/** Entries fetched by one call. */
const fetchMax = 1_024

/** The native gate, or undefined where the addon does not load. */
export function newNativeGate(): Gate | undefined {
  const addon = loadAddon()
  if (addon?.['newGate'] === undefined) return undefined
  return new NativeGate(addon as unknown as GateAddon)
}

class NativeGate implements Gate {
  readonly #addon: GateAddon
  readonly #handle: object
  readonly #entries = new Uint8Array(entryOctets * fetchMax)
  readonly #view = new DataView(this.#entries.buffer)
  readonly #values = new Uint32Array(counterNames.length)

  constructor(addon: GateAddon) {
    this.#addon = addon
    this.#handle = addon.newGate({
      listenBacklogMax,
      refusalsMax,
      countedAddressesMax,
      proxyHeaderWaitMs,
      tarpitOctetMs,
    })
  }

  async listen(addresses: readonly string[]): Promise<readonly string[]> {
    const bound = new Int32Array(1)
    return addresses.map((text) => {
      const { host, port } = parseListenAddress(text)
      const fault = this.#addon.gateListen(this.#handle, host, port, bound)
      if (fault !== 0) throw listenFault(text, getSystemErrorName(-fault))
      return listenAddressText({ host, port: bound[0] ?? port })
    })
  }

  configure(policy: GatePolicy): void {
    this.#addon.gateConfigure(this.#handle, {
      ...policy,
      earlyTalker: earlyTalkerModes.indexOf(policy.earlyTalker),
      classRules: policy.classRules.map(({ verdictClass, action, reply }) => ({
        verdictClass,
        action: ruleActions.indexOf(action),
        reply,
      })),
    })
  }

  addWorker(token: EngineToken): void {
    this.#addon.gateAddWorker(this.#handle, token)
  }

  removeWorker(token: EngineToken): void {
    this.#addon.gateRemoveWorker(this.#handle, token)
  }

  refusals(): readonly Refusal[] {
    const taken: Refusal[] = []
    // Bounded: what comes in meanwhile is for the next call.
    for (let rounds = refusalsMax / fetchMax; rounds > 0; rounds -= 1) {
      const count = this.#addon.gateRefusals(this.#handle, this.#entries)
      for (let at = 0; at < count; at += 1) taken.push(this.#readEntry(at * entryOctets))
      if (count < fetchMax) break
    }
    return taken
  }

  counters(): GateCounters {
    this.#addon.gateCounters(this.#handle, this.#values)
    const values = counterNames.map((name, at) => [name, this.#values[at] ?? 0])
    return Object.fromEntries(values) as GateCounters
  }

  drain(): void {
    this.#addon.gateDrain(this.#handle)
  }

  async close(): Promise<void> {
    this.#addon.gateClose(this.#handle)
  }

  #readEntry(at: number): Refusal {
    const view = this.#view
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
