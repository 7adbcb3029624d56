/**
 * Reply meaning: what a remote server's reply says about the address that was asked for.
 *
 * A forged sender is refused for good, so the reading is narrow: only 550, 551 and 553 at RCPT,
 * with an enhanced code 5.1.x that speaks of the recipient or with none, and no word that speaks of
 * us, means *no such user*. Everything that may be about our address, our rate or their policy
 * means *they refuse us* and proves nothing. 4xx is never more than *try later*. The texts that the
 * words were taken from are the cases of test/checks/reply-meaning.test.ts. RFC 5321 §4.2, RFC 3463
 * §3. No regular expression runs on the peer's octets: every word is a plain search.
 */
import type { Reply } from '../smtp/reply.ts'

/** Where in the dialogue the reply was given. */
export type ProbeStep =
  | 'greeting'
  | 'hello'
  | 'starttls'
  | 'mail'
  | 'recipient'
  | 'data'
  | 'message'

/** What the reply means. `unclear`: it says something, but not about these. */
export type Meaning = 'accepts' | 'no-such-user' | 'refuses-us' | 'try-later' | 'unclear'

/** The meaning, and the part of the reply that decided. */
export interface ReplyReading {
  readonly meaning: Meaning
  readonly reason: string
}

/** Reply codes that may name an unknown mailbox. RFC 5321 §4.2.2. */
const noSuchUserCodes: ReadonlySet<number> = new Set([550, 551, 553])

/**
 * Details of 5.1.x that speak of the sender (7, 8) or of a moved or ambiguous one. RFC 3463 §3.2.
 */
const otherAddressDetails: ReadonlySet<string> = new Set(['4', '5', '7', '8', '9'])

/** The mailbox exists, its state is bad: no proof of anything. */
// biome-ignore format: a table
const mailboxStateWords = [
  'mailbox full', 'over quota', 'quota exceeded', 'disabled', 'suspended', 'inactive', 'locked',
  'recipient preferences', 'host unknown', 'host does not accept', 'message size', 'too large',
]

/** The text speaks of us, our address, our rate, their lists or their policy. */
// biome-ignore format: a table
const refusalWords = [
  'blacklist', 'blocklist', 'black list', 'block list', 'blocked', 'dnsbl', 'rbl', 'spamhaus',
  'sorbs', 'spamcop', 'barracuda', 'senderbase', 'banned', 'reputation', 'is listed', 'your ip',
  'ip address', 'adresse ip', 'ip name', 'reverse dns', 'rdns', 'ptr record', 'spf', 'dmarc', 'dkim',
  'greylist', 'graylist', 'rate limit', 'frequency', 'too many', 'try again', 'later', 'temporar',
  'plus tard', 'access denied', 'denied by', 'permission', 'not permitted', 'not allowed', 'policy',
  'spam', 'virus', 'ube', 'content', 'relay', 'authenticat', 'callout', 'callback', 'sender',
  'mail from', 'mailfrom', 'null reverse', 'bounce', 'connection', 'service refus', 'bloque',
  'client host', 'not accepting', 'no access', 'helo', 'ehlo', 'unauthorized', 'prohibit',
  'administrative', 'rejected by', 'verification failed',
]

/** Says plainly that the mailbox is not there. */
// biome-ignore format: a table
const unknownUserWords = [
  'user unknown', 'unknown user', 'no such user', 'no such recipient', 'no such mailbox',
  'no such address', 'does not exist', 'doesn\'t exist', 'not exist', 'user not found',
  'mailbox not found', 'recipient not found', 'recipnotfound', 'recipientnotfound',
  'unknown recipient', 'unknown local', 'recipient unknown', 'no mailbox',
  'not our customer', 'not our user', 'invalid recipient', 'invalid mailbox', 'unrouteable address',
  'unknown address', 'address unknown', 'no longer on server', 'not a valid', 'destinataire invalide',
]

/**
 * The text that RFC 5321 §4.2.2 gives 550, whatever it is for: plain only where nothing else is
 * said.
 */
const vagueUnknownWord = 'mailbox unavailable'

/** Words of a list that no honest "user unknown" contains, even with 5.1.1 before it. */
// biome-ignore format: a table
const blocklistWords = [
  'blacklist', 'blocklist', 'block list', 'dnsbl', 'rbl', 'spamhaus', 'sorbs', 'spamcop', 'barracuda',
  'your ip', 'spf', 'dmarc', 'dkim', 'reputation', 'banned', 'policy reasons',
]

/** Reads a reply that was given at `step`. O(octets of the reply). */
export function readReply(step: ProbeStep, reply: Reply): ReplyReading {
  const { code } = reply
  if (code >= 200 && code < 300) return { meaning: 'accepts', reason: `${code} at ${step}` }
  if (code === 354) return { meaning: 'accepts', reason: `354 at ${step}` }
  if (code >= 400 && code < 500) return { meaning: 'try-later', reason: `${code} at ${step}` }
  if (code < 500) return { meaning: 'unclear', reason: `unexpected ${code} at ${step}` }
  if (step === 'data' || step === 'message') return readDataRefusal(step, reply)
  if (step !== 'recipient') return { meaning: 'refuses-us', reason: `${code} at ${step}` }
  return readRecipientRefusal(reply)
}

function readRecipientRefusal(reply: Reply): ReplyReading {
  const text = plainText(reply)
  const enhanced = reply.enhanced === '' ? enhancedInText(text) : reply.enhanced
  if (enhanced.startsWith('5.7.')) return { meaning: 'refuses-us', reason: enhanced }
  const listed = firstWord(text, blocklistWords)
  if (listed !== '') return { meaning: 'refuses-us', reason: listed }
  const [, subject = '', detail = ''] = enhanced.split('.')
  if (subject === '1' && otherAddressDetails.has(detail)) {
    return { meaning: 'refuses-us', reason: enhanced }
  }
  if (!noSuchUserCodes.has(reply.code)) return { meaning: 'unclear', reason: `${reply.code}` }
  if (enhanced !== '' && subject !== '1') return { meaning: 'unclear', reason: enhanced }
  return readUnknownUser(text, enhanced === '' ? `${reply.code}` : enhanced)
}

/** A reply whose codes would do: the text may still speak of something else. */
function readUnknownUser(text: string, code: string): ReplyReading {
  const state = firstWord(text, mailboxStateWords)
  if (state !== '') return { meaning: 'unclear', reason: state }
  const plain = firstWord(text, unknownUserWords)
  if (plain !== '') return { meaning: 'no-such-user', reason: plain }
  const refusal = firstWord(text, refusalWords)
  if (refusal !== '') return { meaning: 'refuses-us', reason: refusal }
  const isVague = text.includes(vagueUnknownWord)
  return { meaning: 'no-such-user', reason: isVague ? vagueUnknownWord : code }
}

/** After an accepted recipient a refusal speaks of it only where it says so: 5.1.1 or in words. */
function readDataRefusal(step: ProbeStep, reply: Reply): ReplyReading {
  const text = plainText(reply)
  const reason = `${reply.code} at ${step}`
  if (reply.enhanced.startsWith('5.7.') || firstWord(text, blocklistWords) !== '') {
    return { meaning: 'refuses-us', reason }
  }
  const isVague = text.includes(vagueUnknownWord) && firstWord(text, refusalWords) === ''
  const isPlain = reply.enhanced.startsWith('5.1.1') || firstWord(text, unknownUserWords) !== ''
  return { meaning: isPlain || isVague ? 'no-such-user' : 'unclear', reason }
}

/** The text in lower case without what may be quoted of us: <…> and words that hold an @. */
function plainText(reply: Reply): string {
  const text = reply.lines.join(' ').toLowerCase()
  let plain = ''
  let depth = 0
  for (const character of text) {
    if (character === '<') depth++
    if (depth === 0) plain += character
    if (character === '>' && depth > 0) depth--
  }
  const source = depth === 0 ? plain : text
  return source
    .split(' ')
    .filter((word) => !word.includes('@'))
    .join(' ')
}

/** `#5.1.0` and `(#5.7.1)`, as qmail and its children write it. */
function enhancedInText(text: string): string {
  const at = text.indexOf('#5.')
  if (at < 0) return ''
  let end = at + 1
  while (end < text.length && '0123456789.'.includes(text.charAt(end))) end++
  return text.slice(at + 1, end)
}

/**
 * The first of the words that stands in the text; short ones (up to four letters) as whole words.
 */
function firstWord(text: string, words: readonly string[]): string {
  return words.find((word) => holds(text, word)) ?? ''
}

function holds(text: string, word: string): boolean {
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1)) {
    if (word.length > 4) return true
    if (!isLetter(text.charAt(at - 1)) && !isLetter(text.charAt(at + word.length))) return true
  }
  return false
}

function isLetter(character: string): boolean {
  return character >= 'a' && character <= 'z'
}
