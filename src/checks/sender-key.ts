/**
 * Sender key: the mailbox that is really asked for when a sender is verified.
 *
 * Mailing lists and forwarders write a new local part into each message (VERP, BATV, SRS, plus
 * tags): asked for one by one they would fill the cache and tire the other side. The key is what
 * they have in common; the *question* still names the sender as it came. That one of them is
 * refused says nothing of the others (verdict-memory.ts). Pure.
 * Sources: cr.yp.to/proto/verp.txt, draft-levine-smtp-batv-01 §3, the SRS draft of S. Meng, §3.
 */

/** A mailbox in its two parts, domain in lower case. */
export interface Mailbox {
  readonly local: string
  readonly domain: string
}

/** The parts of `local@domain`, or undefined where there are not two. */
export function mailboxOf(address: string): Mailbox | undefined {
  const at = address.lastIndexOf('@')
  if (at <= 0 || at === address.length - 1) return undefined
  return { local: address.slice(0, at), domain: address.slice(at + 1).toLowerCase() }
}

/** The key of exactly this mailbox. Case does not count: RFC 5321 §2.4 lets it, nobody means it. */
export function exactKey({ local, domain }: Mailbox): string {
  return `${local.toLowerCase()}@${domain}`
}

/** The key of a sender: local part in lower case without what changes from message to message. */
export function senderKey({ local, domain }: Mailbox): string {
  return `${keptLocalPart(local.toLowerCase())}@${domain}`
}

function keptLocalPart(local: string): string {
  // SRS0=HHHH=TT=host=user and SRS1=…: one rewriter's addresses live and die together.
  if (isSrs(local)) return local.slice(0, 4)
  // prvs=KDDDSSSSSS=user and btv1==KDDDSSSSSS==user
  if (local.startsWith('prvs=') || local.startsWith('btv1==')) return tailOf(local)
  const plus = local.indexOf('+')
  const head = plus > 0 ? local.slice(0, plus) : local
  return withoutVerp(head)
}

/** `SRS0=`, `SRS0+` and `SRS0-`, and the same of SRS1. */
function isSrs(local: string): boolean {
  const isHead = local.startsWith('srs0') || local.startsWith('srs1')
  return isHead && '=+-'.includes(local.charAt(4)) && local.length > 5
}

function tailOf(local: string): string {
  return local.slice(local.lastIndexOf('=') + 1)
}

/** Words of senders that mailing programs make; only their numbers are tokens of a message. */
const verpWords: ReadonlySet<string> = new Set([
  'bounce',
  'bounces',
  'return',
  'returns',
  'errors',
  'owner',
  'verp',
])

/**
 * `list-return-1234-anna=example.org` → `list-return-#-=`: a recipient behind `=` is VERP, and
 * beside a word of a mailing program so is a part of four digits or more. All other numbers belong
 * to names: `anna2`, and 12345678, which is somebody.
 */
function withoutVerp(local: string): string {
  const equals = local.indexOf('=')
  const head = equals > 0 ? `${local.slice(0, local.lastIndexOf('-', equals) + 1)}=` : local
  const parts = head.split('-')
  if (!parts.some((part) => verpWords.has(part)) && equals <= 0) return head
  return parts.map((part) => (part.length >= 4 && isDigits(part) ? '#' : part)).join('-')
}

function isDigits(part: string): boolean {
  for (let index = 0; index < part.length; index++) {
    const code = part.charCodeAt(index)
    if (code < 0x30 || code > 0x39) return false
  }
  return true
}
