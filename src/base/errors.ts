/**
 * The three kinds of fault, never confused.
 *
 * (a) A *peer fault* is a value (a Finding or a Reply), never an exception.
 * (b) An *operating fault* (DNS down, disk full, bad configuration) is an OperatingError or a
 *     Result; the stage that meets it documents what it answers then.
 * (c) *Our bug* is a BugError, or what the language throws: it ends the connection that met it,
 *     never the process for one peer.
 */

/** An operating fault: the message names the thing, the value, the limit and the remedy. */
export class OperatingError extends Error {
  override readonly name = 'OperatingError'
  /** Stable, upper case, for programs: `LIST_TOO_MANY_BAD_LINES`. */
  readonly code: string

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** Our bug: a state that the code claims to be impossible. */
export class BugError extends Error {
  override readonly name = 'BugError'
}

/** What may fail in operation, as a value. */
export type Result<T, E = OperatingError> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: E }

/** The last branch of a switch over a union: the compiler proves that nothing arrives here. */
export function unreachable(value: never): never {
  throw new BugError(`unreachable: ${String(value)}`)
}

/** The message of whatever was thrown. */
export function messageOf(fault: unknown): string {
  return fault instanceof Error ? fault.message : String(fault)
}
