/**
 * Where lines end: standard error, a file, syslog. Every sink takes whole lines at once, writes in
 * the background, knows how much waits, and never blocks.
 *
 * File and stderr are pino's destination (sonic-boom): asynchronous writes, partial writes
 * finished, EAGAIN tried again, a file opened again by name. A disk that is full keeps what waits
 * and tries again with the next lines, until the bound is reached and lines are counted instead.
 */
import { once } from 'node:events'
import { open } from 'node:fs/promises'
import pino from 'pino'
import { messageOf, OperatingError } from '../base/errors.ts'
import { logSinkOctetsMax } from '../base/limits.ts'
import type { Config } from '../config/schema.ts'

/** A place for lines. */
export interface LogSink {
  /** Octets waiting now. */
  waiting(): number
  /** Lines with their line ends; the caller has seen to it that they fit. */
  write(lines: string): void
  /** Opens the file again under its name (rotation); nothing for the others. */
  reopen(): void
  /** Writes what waits, within a bound, and closes. */
  close(): Promise<void>
}

/** What a sink tells back. */
export interface SinkEvents {
  /** There is room again. */
  onDrain(): void
  /** Lines that could not be written and are lost. */
  onLost(records: number): void
  /** A fault of the system, told once until it is over. */
  onFault(fault: string): void
}

/**
 * Opens a syslog server over TLS: given by who joins log and TLS, since they know each other by
 * type only.
 */
export type OpenTlsSyslog = (
  config: Config,
  server: { readonly address: string; readonly port: number },
  /** Facility × 8 + severity. */
  priority: number,
  events: SinkEvents,
) => LogSink

const fileMode = 0o640

/** Time that closing may take to write what waits. */
const closeMs = 2000

/**
 * Standard error (`stderr`) or a file, opened for appending with mode 0640.
 * Rejects with OperatingError LOG_OPEN.
 */
export async function openStreamSink(to: string, events: SinkEvents): Promise<LogSink> {
  const stream = await openedStream(to)
  let waiting = 0
  let isFaulty = false
  stream.on('write', (octets: number) => {
    waiting -= octets
    isFaulty = false
  })
  stream.on('drain', () => events.onDrain())
  stream.on('error', (error: Error) => {
    // What a reopening that failed leaves would close the old descriptor twice at the next one.
    stream.removeAllListeners('ready')
    if (!isFaulty) events.onFault(`${to}: ${messageOf(error)}`)
    isFaulty = true
  })
  return {
    waiting: () => waiting,
    write: (lines) => {
      waiting += lines.length
      stream.write(lines)
    },
    reopen: () => {
      if (to !== 'stderr') stream.reopen()
    },
    close: () =>
      new Promise((done) => {
        const timer = setTimeout(done, closeMs)
        stream.on('close', () => {
          clearTimeout(timer)
          done()
        })
        stream.end()
      }),
  }
}

/** Whether so many more octets may wait. */
export function hasRoom(sink: LogSink, octets: number): boolean {
  return sink.waiting() + octets <= logSinkOctetsMax
}

async function openedStream(to: string): Promise<ReturnType<typeof pino.destination>> {
  try {
    // A stream that never opened would throw when the process ends.
    if (to !== 'stderr') await (await open(to, 'a', fileMode)).close()
    const stream = pino.destination({
      dest: to === 'stderr' ? 2 : to,
      sync: false,
      mode: fileMode,
      maxWrite: 256 * 1024,
    } as Parameters<typeof pino.destination>[0])
    await once(stream, 'ready')
    return stream
  } catch (cause) {
    const message = `log.to = ${to}: ${messageOf(cause)}; name a file in a folder that is writable`
    throw new OperatingError('LOG_OPEN', message, { cause })
  }
}
