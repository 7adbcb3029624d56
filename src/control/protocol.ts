/**
 * The control protocol: JSON lines over a Unix socket.
 *
 *   request  = {"command": WORD, "arguments": {…}} LF
 *   reply    = {"kind": "answer", "answer": …} LF | {"kind": "fault", "code": …, "message": …} LF
 *   stream   = {"kind": "line", "line": TEXT} LF …   before the reply, or until the client hangs up
 *
 * A connection carries one request after the other. What is not understood is a fault, not a close.
 */

/** What a client asks. */
export interface ControlRequest {
  readonly command: string
  readonly arguments: Readonly<Record<string, unknown>>
}

/** One line of the server. */
export type ControlMessage =
  | { readonly kind: 'answer'; readonly answer: unknown }
  | { readonly kind: 'fault'; readonly code: string; readonly message: string }
  | { readonly kind: 'line'; readonly line: string }

/**
 * Cuts octets into lines; `onLine` gets each without its end. False: a line is longer than allowed.
 */
export class LineCutter {
  readonly #lineOctetsMax: number
  #rest = ''

  constructor(lineOctetsMax: number) {
    this.#lineOctetsMax = lineOctetsMax
  }

  /** Takes what has arrived. */
  take(text: string, onLine: (line: string) => void): boolean {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) if (line !== '') onLine(line)
    return this.#rest.length <= this.#lineOctetsMax
  }
}
