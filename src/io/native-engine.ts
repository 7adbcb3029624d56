/**
 * The socket engine over native/engine: one epoll set, one call into JavaScript per wake-up.
 *
 * Memory shared with the addon: input arena (what was read; valid inside the dispatch only), output
 * arena (texts to send), events, operations, and by slot the octets queued and not yet taken by the
 * socket: added here and by a pass there, subtracted there, so that `send` can say at once whether
 * to go on.
 *
 * Operations are written into a list and carried out when the events of the turn are handled, or
 * when list or arena is full; outside a turn at the end of the current task. An id is slot +
 * generation * slots; the generation of each live slot stands in an array, so a dead id costs one
 * comparison. Invariant: no allocation per event but what the handler makes.
 */
import { Socket } from 'node:net'
import { loadAddon } from '../addon/addon.ts'
import { BugError } from '../base/errors.ts'
import {
  backlogHighOctets,
  backlogLowOctets,
  backlogOctetsMax,
  backlogTextHighOctets,
  closeFlushMs,
  doneLingerMs,
  lingerMs,
} from '../base/limits.ts'
import type { ConnectionId, Engine, EngineHandler, EngineOptions } from './engine.ts'
import type { EngineToken } from './gate.ts'
import {
  directOctetsMin,
  type EngineAddon,
  event,
  eventsMax,
  inputOctets,
  operation,
  operationsMax,
  outputOctets,
  RecordReader,
  reasons,
  roundsMax,
  shortTextMax,
  slots,
  words,
} from './native-events.ts'

/** No connection in this slot. */
const dead = -1

/**
 * The native engine for the calling thread, or undefined where the addon does not load. Closed,
 * with every descriptor, when the thread's environment ends.
 */
export function newNativeEngine(
  handler: EngineHandler,
  options: EngineOptions,
): Engine | undefined {
  const addon = loadAddon()
  if (addon?.['newEngine'] === undefined) return undefined
  return new NativeEngine(addon as unknown as EngineAddon, handler, options)
}

class NativeEngine implements Engine {
  readonly token: EngineToken
  readonly #addon: EngineAddon
  readonly #handle: object
  readonly #handler: EngineHandler
  readonly #input = Buffer.from(new ArrayBuffer(inputOctets))
  readonly #output = Buffer.from(new ArrayBuffer(outputOctets))
  /** The arena as handlers see it: of a plain array `slice` is a copy, of a Buffer it is a view. */
  readonly #chunk = new Uint8Array(this.#input.buffer)
  readonly #records = new RecordReader(this.#input)
  readonly #events = new Int32Array(eventsMax * words)
  readonly #operations = new Int32Array(operationsMax * words)
  readonly #backlogs = new Int32Array(slots)
  readonly #generations = new Int32Array(slots).fill(dead)
  readonly #isOverHighMark = new Uint8Array(slots)
  /** Slots from here on have never carried a connection. */
  #slotsUsed = 0
  readonly #name = new Int32Array(2)
  #operationCount = 0
  #outputUsed = 0
  /** The connection whose data are being delivered, and is a turn running? */
  #delivering: ConnectionId = -1
  #isInTurn = false
  #isFlushDue = false
  #isClosed = false
  /** Sockets given out that stand yet: who has them may want to connect. */
  #detached = 0
  #onEmpty: (() => void) | undefined

  constructor(addon: EngineAddon, handler: EngineHandler, options: EngineOptions) {
    this.#addon = addon
    this.#handler = handler
    const buffers = {
      input: this.#input,
      output: this.#output,
      events: this.#events,
      operations: this.#operations,
      backlogs: this.#backlogs,
    }
    const limits = {
      backlogLowOctets,
      backlogHighOctets,
      backlogOctetsMax,
      lingerMs,
      doneLingerMs,
      closeFlushMs,
    }
    this.#handle = addon.newEngine(buffers, limits, (count) => this.#turn(count))
    this.token = addon.engineToken(this.#handle)
    this.clientDeadline(options.clientDeadlineMs)
  }

  get backlogOctets(): number {
    let octets = 0
    for (let slot = 0; slot < this.#slotsUsed; slot++) octets += this.#backlogs[slot] ?? 0
    return octets
  }

  get connections(): number {
    return this.#isClosed ? 0 : this.#addon.engineConnections(this.#handle)
  }

  connect(address: string, port: number, timeoutMs: number): ConnectionId {
    this.#addon.connectSocket(this.#handle, address, port, timeoutMs, this.#name)
    const slot = this.#name[0] ?? dead
    const generation = this.#name[1] ?? 0
    if (slot === dead) throw new BugError(`more than ${slots} connections in one engine`)
    this.#generations[slot] = generation
    if (slot >= this.#slotsUsed) this.#slotsUsed = slot + 1
    this.#isOverHighMark[slot] = 0
    this.#makeFlushDue()
    return idOf(slot, generation)
  }

  send(id: ConnectionId, octets: Uint8Array): boolean {
    const slot = this.#liveSlot(id)
    if (slot === dead) return true
    if (octets.length >= directOctetsMin) {
      return this.#sendDirect(id, slot, octets, backlogHighOctets)
    }
    const at = this.#reserve(octets.length)
    this.#output.set(octets, at)
    this.#queueOutput(slot, at, octets.length)
    return this.#hasRoom(slot, backlogHighOctets)
  }

  sendText(id: ConnectionId, text: string): boolean {
    const slot = this.#liveSlot(id)
    if (slot === dead) return true
    if (text.length >= directOctetsMin) {
      return this.#sendDirect(id, slot, Buffer.from(text, 'latin1'), backlogTextHighOctets)
    }
    const at = this.#reserve(text.length)
    if (text.length > shortTextMax) this.#output.write(text, at, 'latin1')
    else for (let i = 0; i < text.length; i += 1) this.#output[at + i] = text.charCodeAt(i)
    this.#queueOutput(slot, at, text.length)
    return this.#hasRoom(slot, backlogTextHighOctets)
  }

  forward(id: ConnectionId, start: number, end: number): boolean {
    const slot = this.#liveSlot(id)
    if (slot === dead || this.#delivering < 0 || start >= end) return true
    this.#push(operation.forward, slot, start, end - start)
    this.#backlogs[slot] = (this.#backlogs[slot] ?? 0) + end - start
    return this.#hasRoom(slot, backlogHighOctets)
  }

  pass(source: ConnectionId, target: ConnectionId, scanState: number, octetsMax: number): void {
    if (source !== this.#delivering) return
    const from = this.#liveSlot(source)
    const to = this.#liveSlot(target)
    if (from === dead || to === dead || octetsMax <= 0) return
    const most = Math.min(octetsMax, Number.MAX_SAFE_INTEGER)
    const fromGeneration = generationOf(source, from)
    const toGeneration = generationOf(target, to)
    const handle = this.#handle
    this.#addon.passOctets(handle, from, fromGeneration, to, toGeneration, scanState, most)
  }

  pause(id: ConnectionId): void {
    this.#act(operation.pause, id, 0)
  }

  resume(id: ConnectionId): void {
    this.#act(operation.resume, id, 0)
  }

  deadline(id: ConnectionId, afterMs: number): void {
    this.#act(operation.deadline, id, Math.ceil(afterMs))
  }

  close(id: ConnectionId, isDone = false): void {
    this.#end(operation.close, id, isDone ? 1 : 0)
  }

  reset(id: ConnectionId): void {
    this.#end(operation.reset, id, 0)
  }

  untaken(id: ConnectionId): number {
    const slot = this.#liveSlot(id)
    if (slot === dead) return 0
    const inKernel = this.#addon.octetsInKernel(this.#handle, slot, generationOf(id, slot))
    return (this.#backlogs[slot] ?? 0) + inKernel
  }

  detach(id: ConnectionId): Socket | undefined {
    const slot = this.#liveSlot(id)
    if (slot === dead) return undefined
    this.#execute()
    const generation = generationOf(id, slot)
    const fd = this.#addon.detachSocket(this.#handle, slot, generation, this.#name)
    if (fd < 0) return undefined
    this.#generations[slot] = dead
    const rest = this.#name[0] ?? 0
    const socket = new Socket({ fd, readable: true, writable: true, allowHalfOpen: true })
    socket.pause()
    if (rest > 0) socket.write(Uint8Array.from(this.#output.subarray(0, rest)))
    this.#detached += 1
    socket.on('close', () => {
      this.#detached -= 1
      this.#addon.releaseDetached(this.#handle, slot, generation)
      this.#makeFlushDue()
    })
    this.#makeFlushDue()
    return socket
  }

  clientDeadline(afterMs: number): void {
    if (!this.#isClosed) this.#addon.setClientDeadline(this.#handle, Math.ceil(afterMs))
  }

  stop(): Promise<void> {
    if (this.#isClosed) return Promise.resolve()
    this.#addon.stopEngine(this.#handle)
    return new Promise((resolve) => {
      this.#onEmpty = resolve
      this.#makeFlushDue()
    })
  }

  /**
   * One wake-up: handles what is listed, and what has come meanwhile. Whatever is collected is
   * dispatched: an event exists once, so the last round collects nothing.
   */
  #turn(count: number): void {
    this.#isInTurn = true
    try {
      let listed = count
      for (let round = 1; listed > 0; round += 1) {
        for (let at = 0; at < listed; at += 1) this.#dispatch(at * words)
        if (round === roundsMax) {
          if (this.#execute() > 0) this.#makeFlushDue()
          break
        }
        listed = this.#nextEvents()
      }
    } finally {
      this.#delivering = -1
      this.#isInTurn = false
    }
    this.#closeIfEmpty()
  }

  #dispatch(at: number): void {
    const events = this.#events
    const slot = events[at + 1] ?? 0
    const generation = events[at + 2] ?? 0
    const first = events[at + 3] ?? 0
    const id = idOf(slot, generation)
    const kind = events[at]
    if (kind === event.open) {
      this.#generations[slot] = generation
      if (slot >= this.#slotsUsed) this.#slotsUsed = slot + 1
      this.#isOverHighMark[slot] = 0
      this.#handler.onOpen(id, this.#records.peer(first))
      return
    }
    if (kind === event.close) {
      this.#generations[slot] = dead
      this.#handler.onClose(id, reasons[first] ?? 'reset')
      return
    }
    // Closed or detached earlier in this turn: what is listed behind that does not count.
    if (this.#generations[slot] !== generation) return
    switch (kind) {
      case event.data:
        this.#delivering = id
        this.#handler.onData(id, this.#chunk, first, first + (events[at + 4] ?? 0))
        this.#delivering = -1
        break
      case event.connected:
        this.#handler.onConnected(id)
        break
      case event.drain:
        this.#isOverHighMark[slot] = 0
        this.#handler.onDrain(id)
        break
      case event.end:
        this.#handler.onEnd(id)
        break
      case event.deadline:
        this.#handler.onDeadline(id)
        break
      case event.passed: {
        const { octets, scanState, silentMs } = this.#records.passed(first)
        this.#handler.onPassed?.(id, octets, scanState, silentMs)
      }
    }
  }

  #liveSlot(id: ConnectionId): number {
    const slot = id & (slots - 1)
    return this.#generations[slot] === generationOf(id, slot) ? slot : dead
  }

  #act(kind: number, id: ConnectionId, first: number): void {
    const slot = this.#liveSlot(id)
    if (slot !== dead) this.#push(kind, slot, first, 0)
  }

  /** After it nothing but onClose comes, and every method is a no-op. */
  #end(kind: number, id: ConnectionId, first: number): void {
    const slot = this.#liveSlot(id)
    if (slot === dead) return
    this.#push(kind, slot, first, 0)
    this.#generations[slot] = dead
  }

  /** Many octets: without a copy into the arena. */
  #sendDirect(id: ConnectionId, slot: number, octets: Uint8Array, highOctets: number): boolean {
    this.#execute()
    this.#backlogs[slot] = (this.#backlogs[slot] ?? 0) + octets.length
    this.#addon.sendOctets(this.#handle, slot, generationOf(id, slot), octets)
    if (!this.#isInTurn) this.#makeFlushDue()
    return this.#hasRoom(slot, highOctets)
  }

  /** The offset of this many free octets in the output arena. */
  #reserve(octets: number): number {
    if (this.#outputUsed + octets > outputOctets) this.#execute()
    const at = this.#outputUsed
    this.#outputUsed += octets
    return at
  }

  /** Texts that lie side by side for one connection are one operation. */
  #queueOutput(slot: number, at: number, octets: number): void {
    if (octets === 0) return
    this.#backlogs[slot] = (this.#backlogs[slot] ?? 0) + octets
    const operations = this.#operations
    const last = (this.#operationCount - 1) * words
    const isNext =
      last >= 0 &&
      operations[last] === operation.send &&
      operations[last + 1] === slot &&
      operations[last + 2] === this.#generations[slot] &&
      (operations[last + 3] ?? 0) + (operations[last + 4] ?? 0) === at
    if (isNext) operations[last + 4] = (operations[last + 4] ?? 0) + octets
    else this.#push(operation.send, slot, at, octets)
  }

  #push(kind: number, slot: number, first: number, second: number): void {
    if (this.#operationCount === operationsMax) this.#executeList()
    const operations = this.#operations
    const at = this.#operationCount * words
    operations[at] = kind
    operations[at + 1] = slot
    operations[at + 2] = this.#generations[slot] ?? dead
    operations[at + 3] = first
    operations[at + 4] = second
    this.#operationCount += 1
    if (!this.#isInTurn) this.#makeFlushDue()
  }

  #hasRoom(slot: number, highOctets: number): boolean {
    if ((this.#backlogs[slot] ?? 0) <= highOctets) return true
    if (this.#isOverHighMark[slot] === 0) {
      this.#isOverHighMark[slot] = 1
      this.#push(operation.awaitDrain, slot, 0, 0)
    }
    return false
  }

  /** Carries out what is listed, and lists what has come: one call for both. */
  #nextEvents(): number {
    const count = this.#operationCount
    this.#operationCount = 0
    this.#outputUsed = 0
    return this.#isClosed ? 0 : this.#addon.nextEvents(this.#handle, count)
  }

  /** Carries out what is listed; answers how many events came of it. */
  #execute(): number {
    const pending = this.#executeList()
    this.#outputUsed = 0
    return pending
  }

  #executeList(): number {
    const count = this.#operationCount
    this.#operationCount = 0
    return this.#isClosed ? 0 : this.#addon.executeOperations(this.#handle, count)
  }

  /** Operations from outside a turn, and events that no descriptor announces, get a turn soon. */
  #makeFlushDue(): void {
    if (this.#isFlushDue) return
    this.#isFlushDue = true
    setImmediate(() => {
      this.#isFlushDue = false
      if (!this.#isClosed) this.#turn(this.#nextEvents())
    })
  }

  #closeIfEmpty(): void {
    if (this.#onEmpty === undefined || this.connections > 0 || this.#detached > 0) return
    // The last round of a turn may have closed the last ones: their onClose comes in the next turn.
    if (this.#isFlushDue) return
    this.#isClosed = true
    this.#addon.closeEngine(this.#handle)
    this.#onEmpty()
  }
}

function idOf(slot: number, generation: number): ConnectionId {
  return generation * slots + slot
}

function generationOf(id: ConnectionId, slot: number): number {
  return (id - slot) / slots
}
