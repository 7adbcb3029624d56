/**
 * Stage 2, hello: HELO, EHLO, STARTTLS, and the commands that belong to no transaction. RFC 5321
 * §4.1.1.1, §4.1.1.6 – §4.1.1.10; RFC 3207.
 */
import { isHelloName } from '../smtp/hello-name.ts'
import { replyLine } from '../smtp/reply-text.ts'
import { concludeDropped } from './conclude.ts'
import type { JourneyPolicy } from './policy.ts'
import { close, refuseConnection, say, sayFault } from './reply.ts'
import type { Session } from './session.ts'

/** Extensions that may be offered at all: those of which the mailhosts offer each one. */
const offerable = [
  'PIPELINING',
  'SIZE',
  '8BITMIME',
  'SMTPUTF8',
  'DSN',
  'ENHANCEDSTATUSCODES',
  'CHUNKING',
] as const

/** HELO and EHLO: a new beginning, the running transaction is dropped. */
export function proceedHello(
  session: Session,
  isEsmtp: boolean,
  name: string,
  nowMs: number,
): void {
  if (!isHelloName(name)) {
    sayFault(session, replyLine(501, '5.5.2', 'a host name or an address literal is wanted'), nowMs)
    return
  }
  concludeDropped(session, 'hello', nowMs)
  session.helo = name
  session.isEsmtp = isEsmtp
  const ourName = session.compiled.policy.name
  if (!isEsmtp) {
    session.offered = none
    say(session, `250 ${ourName}\r\n`)
    return
  }
  const offer = offerNow(session)
  session.offered = offer.keywords
  say(session, offer.reply)
}

/** STARTTLS. @returns false while there is input behind it which makes it an attack. */
export function proceedStartTls(
  session: Session,
  argument: string,
  hasMoreInput: boolean,
  nowMs: number,
): void {
  if (argument !== '') {
    sayFault(session, replyLine(501, '5.5.4', 'STARTTLS takes no parameter'), nowMs)
  } else if (session.tls !== '') {
    sayFault(session, replyLine(503, '5.5.1', 'TLS is already up'), nowMs)
  } else if (!session.compiled.policy.hasCertificate) {
    sayFault(session, replyLine(502, '5.5.1', 'STARTTLS is not offered'), nowMs)
  } else if (hasMoreInput) {
    // RFC 3207 §4.2: nothing said in the clear may be taken for something said inside TLS.
    const text = 'octets behind STARTTLS, closing'
    refuseConnection(session, 'starttls-injection', '554 5.5.1', text, nowMs)
  } else {
    say(session, replyLine(220, '2.0.0', 'go ahead'))
    session.waiting = 'tls'
    session.ports.client.startTls()
    // What carries the connection from now on holds no deadline yet.
    session.armedUntilMs = 0
  }
}

/** TLS is up: everything learnt before it is forgotten (RFC 3207 §4.2). */
export function enterTls(session: Session, description: string, nowMs: number): void {
  concludeDropped(session, 'starttls', nowMs)
  session.waiting = 'nothing'
  session.tls = description
  session.helo = ''
  session.isEsmtp = false
  session.offered = none
  session.held = undefined
}

/** QUIT. */
export function proceedQuit(session: Session, nowMs: number): void {
  concludeDropped(session, 'quit', nowMs)
  close(session, farewell, true)
}

const farewell = replyLine(221, '2.0.0', 'closing')

const none: ReadonlySet<string> = new Set()

/** What a set that the mailhosts offered led to the last time: every client asks for it. */
interface Offer {
  /** Keywords of the set then: a set that has changed since is judged anew. */
  readonly size: number
  readonly keywords: ReadonlySet<string>
  /** Policy, TLS and size limit that `reply` was made for. */
  readonly policy: JourneyPolicy
  readonly isSecured: boolean
  readonly octetsMax: number
  readonly reply: string
}

const offers = new WeakMap<ReadonlySet<string>, Offer>()

function offerNow(session: Session): Offer {
  const theirs = session.ports.offers.offered
  const { policy } = session.compiled
  const isSecured = session.tls !== ''
  const octetsMax = messageOctetsMax(session)
  const last = offers.get(theirs)
  const isSame = last?.policy === policy && last.isSecured === isSecured
  if (last !== undefined && isSame && last.octetsMax === octetsMax && last.size === theirs.size) {
    return last
  }
  const keywords = new Set(offerable.filter((keyword) => theirs.has(keyword)))
  const reply = ehloReply(session, keywords)
  const offer = { size: theirs.size, keywords, policy, isSecured, octetsMax, reply }
  offers.set(theirs, offer)
  return offer
}

function ehloReply(session: Session, keywords: ReadonlySet<string>): string {
  const { policy } = session.compiled
  const lines = [policy.name]
  for (const keyword of keywords) {
    lines.push(keyword === 'SIZE' ? sizeKeyword(session) : keyword)
  }
  if (policy.hasCertificate && session.tls === '') lines.push('STARTTLS')
  const last = lines.length - 1
  let text = ''
  for (let i = 0; i <= last; i++) text += `250${i < last ? '-' : ' '}${lines[i]}\r\n`
  return text
}

function sizeKeyword(session: Session): string {
  const octetsMax = messageOctetsMax(session)
  return octetsMax === Number.POSITIVE_INFINITY ? 'SIZE' : `SIZE ${octetsMax}`
}

/** The largest message that we and every mailhost take. */
export function messageOctetsMax(session: Session): number {
  const ours = session.compiled.policy.sizeOctetsMax || Number.POSITIVE_INFINITY
  const theirs = session.ports.offers.sizeMax || Number.POSITIVE_INFINITY
  return Math.min(ours, theirs)
}
