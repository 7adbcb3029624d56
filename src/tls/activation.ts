/**
 * Activation: a program that is started when octets come for a session that nobody reads.
 *
 * A process registers a program *by name* and may leave. The daemon's configuration says what a
 * name stands for: an absolute path and its arguments, started without a shell, as the user who
 * registered, once for each registration, with the daemon's socket and the session's token in its
 * environment (ACTIVEMX_TLS_SOCKET, ACTIVEMX_TLS_TOKEN).
 */
import { spawn } from 'node:child_process'
import { isAbsolute } from 'node:path'
import type { PeerCredentials } from '../addon/peer-credentials.ts'
import { messageOf, OperatingError } from '../base/errors.ts'
import { failure, type Outcome, success } from './api.ts'
import type { SharedSession } from './shared-sessions.ts'

/** What the names stand for: an absolute path, then arguments. */
export type Programs = Readonly<Record<string, readonly string[]>>

/** Registered programs, by session. */
export class Activation {
  readonly #programs: Programs
  readonly #socket: string
  readonly #log: (text: string) => void
  readonly #registered = new WeakMap<SharedSession, string>()

  /** @throws OperatingError for a program that is not an absolute path. */
  constructor(programs: Programs, socket: string, log: (text: string) => void) {
    for (const [name, [path = '']] of Object.entries(programs)) {
      if (!isAbsolute(path)) {
        const text = `program ${name} of the TLS daemon: ${path} is no absolute path`
        throw new OperatingError('TLS_PROGRAM_PATH', text)
      }
    }
    this.#programs = programs
    this.#socket = socket
    this.#log = log
  }

  /** Registers a program for the next octets of a session; replaces an earlier one. */
  register(session: SharedSession, program: string, peer: PeerCredentials): Outcome {
    if (!Object.hasOwn(this.#programs, program)) {
      return failure('refused', `no program ${JSON.stringify(program)} in the configuration`)
    }
    // Root may look at any daemon; its programs are its own daemon's matter.
    if (process.getuid?.() !== peer.uid) {
      return failure('refused', 'programs run as the user of the daemon: you are another')
    }
    this.#registered.set(session, program)
    if (session.group.hasUnclaimed) this.start(session)
    return success
  }

  /** Octets have come for a session: starts its program, if one is registered. */
  start(session: SharedSession): void {
    const program = this.#registered.get(session)
    if (program === undefined) return
    this.#registered.delete(session)
    const [path = '', ...commandArguments] = this.#programs[program] ?? []
    try {
      const child = spawn(path, commandArguments, {
        cwd: '/',
        stdio: 'ignore',
        detached: true,
        env: {
          PATH: '/usr/local/bin:/usr/bin:/bin',
          ACTIVEMX_TLS_SOCKET: this.#socket,
          ACTIVEMX_TLS_TOKEN: session.token,
        },
      })
      child.on('error', (error) => this.#failed(program, error))
      child.unref()
    } catch (error) {
      this.#failed(program, error)
    }
  }

  #failed(program: string, error: unknown): void {
    this.#log(`program ${program} did not start: ${messageOf(error)}`)
  }
}
