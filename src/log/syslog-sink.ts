/**
 * Syslog: the local one through /dev/log, or one at `syslog://ADDRESS:PORT` by UDP.
 *
 * RFC 3164 §4.1 lines, a datagram each: `<PRI>Mmm dd hh:mm:ss [host] tag[pid]: text`; without the
 * host on /dev/log, as syslog(3) writes it. /dev/log is a Unix datagram socket, which Node lacks:
 * the addon has it. A daemon that restarts is found again; what it has no room for waits, within
 * the bound.
 */
import { createSocket, type Socket } from 'node:dgram'
import { type LocalDatagram, openLocalDatagram } from '../addon/local-datagram.ts'
import { messageOf, OperatingError } from '../base/errors.ts'
import type { LogSink, SinkEvents } from './sink.ts'
import { syslogStamp } from './stamp.ts'

/** What stands before each line. */
export interface SyslogSettings {
  readonly facility: keyof typeof facilities
  readonly host: string
  readonly tag: string
}

// RFC 3164 §4.1.1.
const facilities = { mail: 2, daemon: 3, local0: 16, local1: 17, local2: 18, local3: 19 } as const
const informational = 6

/** Wait before what the local daemon had no room for is sent again; doubled up to the maximum. */
const retryMsMin = 1
const retryMsMax = 250

/** EAGAIN (11) or ENOBUFS (105): the daemon lags. With any other error it is gone. */
const noRoom = 'no room'

/** Sends that are made at one go before other events get their turn. */
const sendsAtOnceMax = 256

/** The local syslog. Throws OperatingError LOG_OPEN when nobody listens there. */
export function openLocalSyslog(
  settings: SyslogSettings,
  events: SinkEvents,
  path = '/dev/log',
): LogSink {
  try {
    return new LocalSyslogSink(settings, events, path)
  } catch (cause) {
    const remedy = 'start the syslog daemon, or name another destination'
    const message = `log.to = syslog: ${messageOf(cause)}; ${remedy}`
    throw new OperatingError('LOG_OPEN', message, { cause })
  }
}

class LocalSyslogSink implements LogSink {
  readonly #settings: SyslogSettings
  readonly #events: SinkEvents
  readonly #path: string
  #socket: LocalDatagram | undefined
  #lines: string[] = []
  #at = 0
  #waiting = 0
  #timer: NodeJS.Timeout | undefined
  #retryMs = retryMsMin
  #isFaulty = false

  constructor(settings: SyslogSettings, events: SinkEvents, path: string) {
    this.#settings = settings
    this.#events = events
    this.#path = path
    this.#socket = openLocalDatagram(path)
  }

  waiting(): number {
    return this.#waiting
  }

  write(lines: string): void {
    this.#waiting += lines.length
    this.#lines.push(...lines.split('\n').filter((line) => line !== ''))
    if (this.#timer === undefined) this.#send()
  }

  reopen(): void {
    this.#socket?.close()
    this.#socket = undefined
  }

  async close(): Promise<void> {
    if (this.#timer !== undefined) clearTimeout(this.#timer)
    while (this.#at < this.#lines.length && this.#sendOne(this.#lines[this.#at] ?? '')) this.#at++
    const lost = this.#lines.length - this.#at
    if (lost > 0) this.#events.onLost(lost)
    this.#socket?.close()
    this.#socket = undefined
  }

  #send(): void {
    this.#timer = undefined
    let sent = 0
    while (this.#at < this.#lines.length && sent < sendsAtOnceMax) {
      const line = this.#lines[this.#at] ?? ''
      if (!this.#sendOne(line)) break
      this.#at++
      this.#waiting -= line.length + 1
      sent++
    }
    if (this.#at < this.#lines.length) {
      this.#forgetSent()
      this.#retryMs = sent > 0 ? retryMsMin : Math.min(this.#retryMs * 2, retryMsMax)
      this.#timer = setTimeout(() => this.#send(), this.#retryMs)
      return
    }
    this.#lines = []
    this.#at = 0
    this.#events.onDrain()
  }

  /** A daemon that never catches up is sent lines for ever: what it has is kept no longer. */
  #forgetSent(): void {
    if (this.#at * 2 < this.#lines.length) return
    this.#lines.splice(0, this.#at)
    this.#at = 0
  }

  /** False: no room, or nobody there now. */
  #sendOne(line: string): boolean {
    const fault = this.#sendNow(Buffer.from(this.#prefixed(line), 'latin1'))
    if (fault === '' || fault === noRoom) {
      this.#isFaulty = false
      return fault === ''
    }
    if (!this.#isFaulty) this.#events.onFault(`${this.#path}: ${fault}`)
    this.#isFaulty = true
    return false
  }

  #sendNow(octets: Buffer): string {
    try {
      this.#socket ??= openLocalDatagram(this.#path)
    } catch (error) {
      return messageOf(error)
    }
    const error = this.#socket.send(octets)
    if (error === 0) return ''
    if (error === 11 || error === 105) return noRoom
    this.reopen()
    return `system error ${error}`
  }

  #prefixed(line: string): string {
    return `${priority(this.#settings)}${syslogStamp(Date.now())} ${tagOf(this.#settings)}: ${line}`
  }
}

/** A syslog server by UDP: what the network loses is lost. */
export function openUdpSyslog(
  settings: SyslogSettings,
  events: SinkEvents,
  address: string,
  port: number,
): LogSink {
  const socket: Socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
  let waiting = 0
  socket.unref()
  socket.on('error', (error) => events.onFault(`syslog://${address}:${port}: ${error.message}`))
  const send = (line: string): void => {
    waiting += line.length
    const stamp = `${priority(settings)}${syslogStamp(Date.now())} ${settings.host}`
    socket.send(`${stamp} ${tagOf(settings)}: ${line}`, port, address, (error) => {
      waiting -= line.length
      if (error !== null) events.onLost(1)
      if (waiting === 0) events.onDrain()
    })
  }
  return {
    waiting: () => waiting,
    write: (lines) => {
      for (const line of lines.split('\n')) if (line !== '') send(line)
    },
    reopen: () => {},
    close: () => new Promise((done) => socket.close(done)),
  }
}

function priority({ facility }: SyslogSettings): string {
  return `<${priorityOf(facility)}>`
}

/** RFC 5424 §6.2.1: facility and the severity of all our records. */
export function priorityOf(facility: SyslogSettings['facility']): number {
  return facilities[facility] * 8 + informational
}

function tagOf({ tag }: SyslogSettings): string {
  return `${tag}[${process.pid}]`
}
