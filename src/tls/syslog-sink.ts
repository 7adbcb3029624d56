/**
 * The system log over TLS: RFC 5424 messages with octet counting (RFC 5425 §4.3), on a shared
 * session.
 *
 * All instances of a machine that log to the same server share one session of the daemon; each
 * write is whole, so that no lease is needed. Where the daemon is away the session is this
 * process's own, and the daemon is asked again every `tlsDirectKeepMs`. What could not be written
 * waits, within the bound that the log keeps, and is sent on the next connection; a batch during
 * whose write the connection broke is sent again and may arrive twice. A server that takes nothing
 * ends the connection (`stallMs` of the session): one that hangs is found again when it is back.
 */
import { tlsDirectKeepMs } from '../base/limits.ts'
import type { LogSink, SinkEvents } from '../log/sink.ts'
import type { NewOptions } from './api.ts'
import type { TlsSession, TlsWrapper } from './wrapper.ts'

/** What stands before each line. */
export interface TlsSyslogSettings {
  /** RFC 5424 §6.2.1: facility × 8 + severity. */
  readonly priority: number
  readonly host: string
  readonly tag: string
}

/** A server need take no more than this within `stallMs`, however slow it is. */
const batchOctetsMax = 64 * 1024
const retryMsMin = 100
const retryMsMax = 10_000
const closeMs = 2_000

/** Opens the sink; connects with the first lines. */
export function openTlsSyslog(
  wrapper: TlsWrapper,
  server: NewOptions,
  settings: TlsSyslogSettings,
  events: SinkEvents,
): LogSink {
  return new TlsSyslogSink(wrapper, server, settings, events)
}

/** One line as a message of RFC 5424 in a frame of RFC 5425. */
function syslogFrame(line: string, settings: TlsSyslogSettings, wallMs: number): string {
  const { priority, host, tag } = settings
  const stamp = new Date(wallMs).toISOString()
  const message = `<${priority}>1 ${stamp} ${host} ${tag} ${process.pid} - - ${line}`
  return `${Buffer.byteLength(message, 'latin1')} ${message}`
}

class TlsSyslogSink implements LogSink {
  readonly #wrapper: TlsWrapper
  readonly #server: NewOptions
  readonly #settings: TlsSyslogSettings
  readonly #events: SinkEvents
  #session: TlsSession | undefined
  /** When the daemon was last asked, on the clock of `performance.now()`. */
  #askedAtMs = 0
  #lines: string[] = []
  #waiting = 0
  #isBusy = false
  #isClosed = false
  #retryMs = retryMsMin
  #timer: NodeJS.Timeout | undefined
  #onIdle: () => void = () => undefined

  constructor(
    wrapper: TlsWrapper,
    server: NewOptions,
    settings: TlsSyslogSettings,
    events: SinkEvents,
  ) {
    this.#wrapper = wrapper
    this.#server = server
    this.#settings = settings
    this.#events = events
  }

  waiting(): number {
    return this.#waiting
  }

  write(lines: string): void {
    this.#waiting += lines.length
    this.#lines.push(...lines.split('\n').filter((line) => line !== ''))
    if (!this.#isBusy) void this.#sendAll()
  }

  reopen(): void {}

  async close(): Promise<void> {
    if (this.#lines.length > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, closeMs)
        this.#onIdle = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    this.#isClosed = true
    clearTimeout(this.#timer)
    if (this.#lines.length > 0) this.#events.onLost(this.#lines.length)
    await this.#wrapper.close()
  }

  async #sendAll(): Promise<void> {
    this.#isBusy = true
    while (this.#lines.length > 0 && !this.#isClosed) {
      const fault = await this.#sendSome()
      if (fault === '') this.#retryMs = retryMsMin
      else {
        if (this.#retryMs === retryMsMin) this.#events.onFault(`syslog over TLS: ${fault}`)
        await this.#pause()
      }
    }
    this.#isBusy = false
    this.#onIdle()
    if (!this.#isClosed) this.#events.onDrain()
  }

  /** Sends as many lines as one batch holds. @returns the fault, '' for none. */
  async #sendSome(): Promise<string> {
    const session = await this.#sessionToUse()
    const connected = await session.connect()
    if (connected.code !== 'none') return this.#drop(session, connected.message)
    let batch = ''
    let lines = 0
    let octets = 0
    for (const line of this.#lines) {
      if (batch.length > 0 && batch.length + line.length > batchOctetsMax) break
      batch += syslogFrame(line, this.#settings, Date.now())
      octets += line.length + 1
      lines++
    }
    const written = await session.write(Buffer.from(batch, 'latin1'))
    if (written.code !== 'none') return this.#drop(session, written.message)
    this.#lines.splice(0, lines)
    this.#waiting -= octets
    return ''
  }

  /** The one in use; a shared one in place of our own, as soon as there is one. */
  async #sessionToUse(): Promise<TlsSession> {
    const current = this.#session
    const isDue = performance.now() - this.#askedAtMs > tlsDirectKeepMs
    if (current?.route === 'shared' || (current !== undefined && !isDue)) return current
    const made = await this.#wrapper.new(this.#server)
    this.#askedAtMs = performance.now()
    if (current !== undefined && made.route !== 'shared') {
      await made.free()
      return current
    }
    await current?.free()
    this.#session = made
    return made
  }

  async #drop(session: TlsSession, message: string): Promise<string> {
    this.#session = undefined
    await session.free()
    return message
  }

  #pause(): Promise<void> {
    const afterMs = this.#retryMs
    this.#retryMs = Math.min(this.#retryMs * 2, retryMsMax)
    return new Promise((resolve) => {
      this.#timer = setTimeout(resolve, afterMs)
    })
  }
}
