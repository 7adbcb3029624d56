/**
 * NativeLocalStream: a LocalStream on the addon (native/binding/local_stream.cpp).
 *
 * Three system calls for a call and its answer, and no stream, request or chunk object: a message
 * through the daemon costs half the time of user space that it costs over net.Socket (bench tls).
 */
import type net from 'node:net'
import { loadAddon } from '../addon/addon.ts'
import { descriptorOf } from '../addon/peer-credentials.ts'
import type { LocalStream, LocalStreamEvents } from './local-stream.ts'

type OnEvent = (event: number, start: number, end: number, arena: Uint8Array) => void

/** What this file uses of the addon. */
export interface LocalStreamAddon {
  newLocalInput(): object
  openLocalStream(input: object, fd: number, onEvent: OnEvent): object
  sendLocal(stream: object, octets: Uint8Array, start: number, end: number): number
  readLocal(stream: object, isReading: boolean): void
  refLocal(stream: object, isHeld: boolean): void
  closeLocal(stream: object): void
}

/** As the addon numbers its events; the third is the end. */
const dataEvent = 0
const drainEvent = 1

let input: object | undefined

/** The addon, where it loads. */
export function nativeStreams(): LocalStreamAddon | undefined {
  return loadAddon() as unknown as LocalStreamAddon | undefined
}

/** One connection. */
export class NativeLocalStream implements LocalStream {
  readonly #addon: LocalStreamAddon
  readonly #events: LocalStreamEvents
  readonly #stream: object
  #isClosed = false

  constructor(addon: LocalStreamAddon, socket: net.Socket, events: LocalStreamEvents) {
    this.#addon = addon
    this.#events = events
    input ??= addon.newLocalInput()
    this.#stream = addon.openLocalStream(input, descriptorOf(socket), this.#onEvent)
    // The stream has a descriptor of its own; this closes the other without a word to the peer.
    socket.destroy()
  }

  send(octets: Uint8Array, start: number, end: number): number {
    return this.#addon.sendLocal(this.#stream, octets, start, end)
  }

  read(isReading: boolean): void {
    this.#addon.readLocal(this.#stream, isReading)
  }

  hold(isHeld: boolean): void {
    this.#addon.refLocal(this.#stream, isHeld)
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#addon.closeLocal(this.#stream)
    setImmediate(() => this.#events.onClose())
  }

  readonly #onEvent: OnEvent = (event, start, end, arena) => {
    if (event === dataEvent) this.#events.onData(arena, start, end)
    else if (event === drainEvent) this.#events.onDrain()
    else this.#end()
  }

  /** At once: what comes to others in the same wake-up finds its owner gone. */
  #end(): void {
    this.#isClosed = true
    this.#addon.closeLocal(this.#stream)
    this.#events.onClose()
  }
}
