/**
 * Reply: an SMTP reply as a value, ours or a remote server's. RFC 5321 §4.2, RFC 3463.
 */

/** A reply: code, optional enhanced code, text lines without code and without CRLF. */
export interface Reply {
  readonly code: number
  /** `5.7.1`, or '' when there is none. */
  readonly enhanced: string
  readonly lines: readonly string[]
  /** What it says, as a finding: of the transfer's own replies, which stand for the mailhost's. */
  readonly finding?: string
}
