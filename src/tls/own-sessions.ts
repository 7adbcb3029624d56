/**
 * OwnSessions: the unshared sessions of an application, in its own process, on its own TCP stack.
 *
 * Work whether a daemon runs or not.
 */
import { randomBytes } from 'node:crypto'
import { failure, type NewOptions, type Outcome, type SessionHandle, success } from './api.ts'
import { type Directory, GroupCalls } from './calls.ts'
import { faultOf } from './fault.ts'
import { SessionGroup } from './group.ts'
import type { Discipline } from './queue.ts'

const gone = failure('badToken', 'no such session in this process')
const holder = {}

/** The calls on the sessions of this process; the order of queued calls is `discipline`. */
export class OwnSessions extends GroupCalls {
  readonly #groups: Map<string, SessionGroup>

  /** @param sessionsMax of one time; above: `refused`. */
  constructor(discipline: Discipline = { kind: 'fifo' }, sessionsMax = Number.POSITIVE_INFINITY) {
    const groups = new Map<string, SessionGroup>()
    super(directoryOf(groups, discipline, sessionsMax), holder)
    this.#groups = groups
  }

  /** Sessions that were made and not freed. */
  get size(): number {
    return this.#groups.size
  }

  /** Frees every session. */
  async close(): Promise<void> {
    const groups = [...this.#groups.values()]
    this.#groups.clear()
    await Promise.all(groups.map((group) => group.close()))
  }
}

function directoryOf(
  groups: Map<string, SessionGroup>,
  discipline: Discipline,
  sessionsMax: number,
): Directory {
  return {
    make: async (options: NewOptions): Promise<SessionHandle> => {
      const group = new SessionGroup(options, discipline)
      const token = randomBytes(24).toString('hex')
      try {
        const listeningPort = await group.listen()
        if (groups.size >= sessionsMax) {
          void group.close()
          const fault = failure(
            'refused',
            `a client has at most ${sessionsMax} sessions of its own`,
          )
          return { route: 'unshared', token: '', fault }
        }
        groups.set(token, group)
        return { route: 'unshared', token, listeningPort }
      } catch (error) {
        return { route: 'unshared', token: '', fault: faultOf(error) }
      }
    },
    find: (handle) => groups.get(handle.token),
    shutdown: async (handle): Promise<Outcome> => {
      const group = groups.get(handle.token)
      if (group === undefined) return handle.fault ?? gone
      await group.shutdown()
      return success
    },
    free: (handle) => {
      const group = groups.get(handle.token)
      if (group === undefined) return handle.fault ?? gone
      groups.delete(handle.token)
      void group.close()
      return success
    },
  }
}
