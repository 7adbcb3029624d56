/**
 * LocalStream: octets both ways over a connected Unix socket, as the daemon and its clients use it.
 *
 * The native stream (native-local-stream.ts) reads into one arena of the thread and sends from the
 * caller's buffer; its twin over net.Socket (socket-local-stream.ts) serves where the addon does
 * not load. Both pass test/tls/local-stream.test.ts.
 *
 * Invariants: no event from inside a method; `onClose` comes once and last, whoever ended the
 * connection; octets that were handed over are never written over.
 */
import type net from 'node:net'
import { NativeLocalStream, nativeStreams } from './native-local-stream.ts'
import { SocketLocalStream } from './socket-local-stream.ts'

/** What a stream tells its owner. */
export interface LocalStreamEvents {
  /** Octets [start, end) of the chunk have come; they stay as they are. */
  onData(chunk: Uint8Array, start: number, end: number): void
  /** All that had to wait has been sent. */
  onDrain(): void
  /** The connection is over. */
  onClose(): void
}

/** One connection. */
export interface LocalStream {
  /** Sends octets [start, end), which may change afterwards. @returns octets that wait. */
  send(octets: Uint8Array, start: number, end: number): number
  /** Stops and starts reading; what comes meanwhile waits in the kernel. */
  read(isReading: boolean): void
  /** Whether it keeps the process alive; it does at first. */
  hold(isHeld: boolean): void
  /** Ends the connection at once; what waits is dropped. */
  close(): void
}

/**
 * Takes over a connected socket that nobody reads, which must not be used any more. Never throws:
 * with no descriptor left for a native stream the socket goes on with its own.
 */
export function openLocalStream(socket: net.Socket, events: LocalStreamEvents): LocalStream {
  const native = nativeStreams()
  try {
    if (native !== undefined) return new NativeLocalStream(native, socket, events)
  } catch {
    // EMFILE: the native stream needs a second descriptor for a moment.
  }
  return new SocketLocalStream(socket, events)
}
