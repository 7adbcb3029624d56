/**
 * Sender key: the mailbox that is really asked for when a sender is verified.
 *
 * Mailing lists and forwarders write a new local part into each message (VERP, BATV, SRS, plus
 * tags): asked for one by one they would fill the cache and tire the other side. The key is what
 * they have in common; the *question* still names the sender as it came. Pure.
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

/** The key of a sender: local part in lower case without what changes from message to message. */
export function senderKey({ local, domain }: Mailbox): string {
  return `${keptLocalPart(local.toLowerCase())}@${domain}`
}

function keptLocalPart(local: string): string {
  // SRS0=HHHH=TT=host=user and SRS1=…: one rewriter's addresses live and die together.
  if (local.startsWith('srs0') || local.startsWith('srs1')) return local.slice(0, 4)
  // prvs=KDDDSSSSSS=user and btv1==KDDDSSSSSS==user
  if (local.startsWith('prvs=') || local.startsWith('btv1==')) return tailOf(local)
  const plus = local.indexOf('+')
  const head = plus > 0 ? local.slice(0, plus) : local
  return withoutNumbers(head)
}

function tailOf(local: string): string {
  return local.slice(local.lastIndexOf('=') + 1)
}

/**
 * `list-return-1234-anna=example.org` → `list-return-#-=`: a recipient behind `=` and runs of four
 * digits or more are VERP; shorter numbers belong to names (`anna2`).
 */
function withoutNumbers(local: string): string {
  const equals = local.indexOf('=')
  const head = equals > 0 ? `${local.slice(0, local.lastIndexOf('-', equals) + 1)}=` : local
  let kept = ''
  let run = ''
  for (const character of `${head} `) {
    if (character >= '0' && character <= '9') {
      run += character
      continue
    }
    kept += run.length >= 4 ? '#' : run
    run = ''
    if (character !== ' ') kept += character
  }
  return kept
}
