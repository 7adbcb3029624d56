/**
 * SocketLocalStream: a LocalStream over net.Socket; the slow twin, for where the addon does not
 * load.
 */
import type net from 'node:net'
import type { LocalStream, LocalStreamEvents } from './local-stream.ts'

/** One connection. */
export class SocketLocalStream implements LocalStream {
  readonly #socket: net.Socket
  readonly #events: LocalStreamEvents
  #isOver = false

  constructor(socket: net.Socket, events: LocalStreamEvents) {
    this.#socket = socket
    this.#events = events
    socket.on('data', (chunk: Buffer) => events.onData(chunk, 0, chunk.length))
    socket.on('drain', () => events.onDrain())
    socket.on('error', this.#end).on('end', this.#end).on('close', this.#end)
    socket.resume()
  }

  send(octets: Uint8Array, start: number, end: number): number {
    if (this.#socket.destroyed) return 0
    this.#socket.write(Buffer.from(octets.subarray(start, end)))
    return this.#socket.writableLength
  }

  read(isReading: boolean): void {
    if (isReading) this.#socket.resume()
    else this.#socket.pause()
  }

  hold(isHeld: boolean): void {
    if (isHeld) this.#socket.ref()
    else this.#socket.unref()
  }

  close(): void {
    this.#socket.destroy()
  }

  /** At once: what comes to others in the same wake-up finds its owner gone. */
  readonly #end = (): void => {
    if (this.#isOver) return
    this.#isOver = true
    this.#socket.destroy()
    this.#events.onClose()
  }
}
