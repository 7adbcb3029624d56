/**
 * Peer octets in log lines: whatever a peer sends, a line stays one line, and its fields stay its
 * own.
 *
 * A line is printable ASCII. In json and logfmt everything else is escaped (`\u001b`, `\x1b`); in
 * the postfix format it is `?`, as Postfix itself writes. Long texts are cut and end in `...`. A
 * text stands one octet a character, so octets of UTF-8 show as their numbers: a terminal is never
 * sent what a peer wrote (C1 controls, direction marks and look-alikes included).
 */

const logfmtPlain = /^[A-Za-z0-9@.:_/+-]+$/
const logfmtQuotable = /^[ !#-[\]-~]*$/
const printable = /^[ -~]*$/

/** A text as a JSON string in ASCII. O(length); a plain text is not copied but for the quotes. */
export function jsonText(text: string, charactersMax: number): string {
  const kept = cut(text, charactersMax)
  if (isJsonPlain(kept)) return `"${kept}"`
  return JSON.stringify(kept).replace(/[\x7f-\uffff]/g, unicodeEscape)
}

/** A text as a logfmt value: bare, or in quotes with `\"`, `\\` and `\xHH`. */
export function logfmtText(text: string, charactersMax: number): string {
  const kept = cut(text, charactersMax)
  if (logfmtPlain.test(kept)) return kept
  if (logfmtQuotable.test(kept)) return `"${kept}"`
  return `"${kept.replace(/[^ !#-[\]-~]/g, octetEscape)}"`
}

/** A text of a postfix line: what is not printable ASCII is `?`. */
export function postfixText(text: string, charactersMax: number): string {
  const kept = cut(text, charactersMax)
  return printable.test(kept) ? kept : kept.replace(/[^ -~]/g, '?')
}

/** The same between angle brackets, which the text itself cannot close: `from=<…>`. */
export function postfixAngled(text: string, charactersMax: number): string {
  return `<${postfixText(text, charactersMax).replace(/[<>]/g, '?')}>`
}

/** Printable ASCII without quote and backslash. */
function isJsonPlain(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    if (unit < 0x20 || unit > 0x7e || unit === 0x22 || unit === 0x5c) return false
  }
  return true
}

function cut(text: string, charactersMax: number): string {
  return text.length > charactersMax ? `${text.slice(0, charactersMax - 3)}...` : text
}

function unicodeEscape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}

function octetEscape(character: string): string {
  if (character === '"' || character === '\\') return `\\${character}`
  const code = character.charCodeAt(0).toString(16)
  return code.length <= 2 ? `\\x${code.padStart(2, '0')}` : `\\u${code.padStart(4, '0')}`
}
