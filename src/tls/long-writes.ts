/**
 * LongWrites: which writes in parts a channel has begun and not ended.
 *
 * The daemon joins parts by client, session and lease (wire.ts, `more`). Two handles of one session
 * have a lane each (credit.ts): without this, a part of one could come between two of the other.
 *
 * Pure.
 */
import type { ChannelCall, Lane } from './credit.ts'
import { hexText } from './handle.ts'
import { callKinds, frameFlags, handleOctets } from './wire.ts'

/** The writes in parts of one channel. */
export class LongWrites {
  readonly #lanes = new Map<string, Lane | undefined>()

  /** False: the first part of a write while one of another handle of the session is being sent. */
  mayBegin(call: ChannelCall): boolean {
    if (!hasFlag(call, frameFlags.more) || hasFlag(call, frameFlags.continues)) return true
    const key = keyOf(call)
    // Who begins two in one lane is closed by the daemon.
    return !this.#lanes.has(key) || this.#lanes.get(key) === call.lane
  }

  /** A call was sent. */
  note(call: ChannelCall): void {
    if (hasFlag(call, frameFlags.more)) this.#lanes.set(keyOf(call), call.lane)
    else if (hasFlag(call, frameFlags.continues)) this.#lanes.delete(keyOf(call))
    // The parts of it that had not been sent are dropped.
    else if (isBreak(call)) this.#lanes.delete(keyOf(call))
  }
}

function hasFlag({ kind, flags }: ChannelCall, flag: number): boolean {
  return kind === callKinds.write && (flags & flag) !== 0
}

function isBreak({ kind, flags }: ChannelCall): boolean {
  return kind === callKinds.release && (flags & frameFlags.broken) !== 0
}

/** The body of a write begins with the session's handle. */
function keyOf({ head, lease }: ChannelCall): string {
  return `${hexText(head, 0, handleOctets)} ${lease}`
}
