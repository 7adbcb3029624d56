/**
 * DaemonAccess: the one channel to a daemon, made when asked for and again when it was lost.
 *
 * A daemon that is there and says nothing (stopped, or hanging) is waited for once: whoever comes
 * after `tlsDaemonSilentMsMax` of its silence is told at once, while one attempt goes on in the
 * background. When the daemon speaks again, or another takes its place, the next one who asks gets
 * the channel.
 *
 * Its owner is told how each attempt ended: a daemon of another version refuses everybody, and
 * those who fall back would never notice.
 */
import { type Outcome, success } from './api.ts'
import { DaemonChannel, daemonSilent } from './channel.ts'

type Reached = DaemonChannel | Outcome

/** Told how an attempt to reach the daemon ended: `none`, it serves; else why it does not. */
export type OnDaemon = (standing: Outcome) => void

/** The way to the daemon at a socket. */
export class DaemonAccess {
  readonly #path: string
  #current: DaemonChannel | undefined
  #opening: Promise<Reached> | undefined
  #abort: AbortController | undefined
  #isSilent = false
  readonly #onDaemon: OnDaemon

  /** @param path of the daemon's socket, or of `tls wrap --api`. */
  constructor(path: string, onDaemon: OnDaemon = () => undefined) {
    this.#path = path
    this.#onDaemon = onDaemon
  }

  /** The channel that was opened last; one that has ended answers `daemonGone` to every call. */
  get current(): DaemonChannel | undefined {
    return this.#current
  }

  /** The channel, opened where there is none; else why there is none, in limited time. */
  open(): Promise<Reached> {
    const current = this.#current
    if (current?.isOpen === true) return Promise.resolve(current)
    if (this.#opening === undefined) {
      this.#isSilent = current?.wasSilent === true
      this.#opening = this.#begin()
    }
    return this.#isSilent ? Promise.resolve(daemonSilent) : this.#opening
  }

  /** Ends the connection, or the attempt. The next `open` makes another. */
  close(): void {
    this.#abort?.abort()
    this.#current?.close()
  }

  #begin(): Promise<Reached> {
    const abort = new AbortController()
    this.#abort = abort
    return new Promise((resolve) => {
      const onSilent = (): void => {
        this.#isSilent = true
        this.#onDaemon(daemonSilent)
        resolve(daemonSilent)
      }
      void DaemonChannel.open(this.#path, { signal: abort.signal, onSilent }).then((reached) => {
        this.#opening = undefined
        this.#isSilent = false
        this.#current = reached instanceof DaemonChannel ? reached : undefined
        if (!abort.signal.aborted) {
          this.#onDaemon(reached instanceof DaemonChannel ? success : reached)
        }
        resolve(reached)
      })
    })
  }
}
