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
  descriptorsKept,
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
  RefusalWriter,
} from './gate.ts'
import { listenAddressText, listenFault, parseListenAddress } from './listen-address.ts'
import { NativeRefusals, type RefusalAddon, refusalEntryOctets } from './native-refusals.ts'

/** What this part uses of the addon; the handle is opaque. */
interface GateAddon extends RefusalAddon {
  newGate(limits: object): object
  gateListen(handle: object, address: string, port: number, bound: Int32Array): number
  gateConfigure(handle: object, policy: object): void
  gateAddWorker(handle: object, token: number): void
  gateRemoveWorker(handle: object, token: number): void
  gateRefusals(handle: object, entries: Uint8Array): number
  gateCounters(handle: object, values: Float64Array): void
  gateDrain(handle: object): void
  gateClose(handle: object): void
}

/** As native/gate/policy.hpp numbers them. */
const ruleActions: readonly GateAction[] = ['refuse', 'tarpit', 'reset', 'drop', 'observe']
const earlyTalkerModes: readonly GatePolicy['earlyTalker'][] = [
  'off',
  'observe',
  'tempfail',
  'enforce',
]
/** In the order of enum Counter in native/gate/counters.hpp. */
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
  'stopping',
  'refusalsLost',
  'tarpits',
  'waiting',
  'connections',
  'workers',
  'filteredBlocks',
]

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
  readonly #entries = new Uint8Array(refusalEntryOctets * fetchMax)
  readonly #values = new Float64Array(counterNames.length)
  readonly #refusals: NativeRefusals

  constructor(addon: GateAddon) {
    this.#addon = addon
    this.#refusals = new NativeRefusals(addon, this.#entries)
    this.#handle = addon.newGate({
      listenBacklogMax,
      refusalsMax,
      countedAddressesMax,
      proxyHeaderWaitMs,
      tarpitOctetMs,
      descriptorsKept,
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
      for (let at = 0; at < count; at += 1) taken.push(this.#refusals.read(at))
      if (count < fetchMax) break
    }
    return taken
  }

  writeRefusals(writer: RefusalWriter): void {
    for (let rounds = refusalsMax / fetchMax; rounds > 0; rounds -= 1) {
      const count = this.#addon.gateRefusals(this.#handle, this.#entries)
      this.#refusals.write(writer, count)
      if (count < fetchMax) return
    }
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
}
