/**
 * The header filter: rules and built-in checks on the collected header, judged by the policy.
 * Trusted hosts skip it (mechanism B2).
 */
import { checkHeaderForm } from '../checks/header-form.ts'
import { type HeaderMatch, matchHeaderRules } from '../checks/header-rules.ts'
import { fieldsOf } from '../smtp/header-reader.ts'
import { idOf } from './conclude.ts'
import { judgementOf } from './policy.ts'
import { namedRefusal, refusal } from './reply.ts'
import type { Message, Refusal, Session, Transaction } from './session.ts'

/** Judges the header that ends at `headerEnd` of the stash. @returns the refusal, if any. */
export function judgeHeader(
  session: Session,
  transaction: Transaction,
  message: Message,
  headerEnd: number,
): Refusal | undefined {
  const { policy, headerRules } = session.compiled
  if (policy.headers.mode === 'off' || session.isTrusted) return undefined
  const fields = fieldsOf(message.stash, message.headerStart, headerEnd)
  for (const match of matchHeaderRules(headerRules, message.stash, fields)) {
    const refused = act(session, transaction, match)
    if (refused !== undefined) return refused
  }
  const { stash, headerStart } = message
  for (const finding of checkHeaderForm(policy.headers, stash, headerStart, headerEnd, fields)) {
    const refused = act(session, transaction, { finding, action: 'refuse', reply: '' })
    if (refused !== undefined) return refused
  }
  return undefined
}

/** Tells what was found; the weaker of the rule's action and the filter's mode is taken. */
function act(session: Session, transaction: Transaction, match: HeaderMatch): Refusal | undefined {
  const { finding, action, reply } = match
  const mode = judgementOf(session.compiled.policy.headers.mode)
  const isObserved = action === 'observe' || mode === 'observe' || mode === 'pass'
  session.ports.records.finding(finding, isObserved)
  if (isObserved) {
    transaction.observed ??= finding
    return undefined
  }
  const { name, evidence } = finding
  const isTempfail = action === 'tempfail' || mode === 'tempfail'
  const isOwnReplyFit = reply !== '' && reply.startsWith(isTempfail ? '4' : '5')
  if (isOwnReplyFit) {
    const own = reply.replaceAll('{id}', idOf(session, transaction))
    return refusal('headers', name, `${own}\r\n`, evidence)
  }
  const isLoop = name === 'received-loop'
  const detail = isLoop ? '4.6' : '6.0' // RFC 3463 §3.5: a routing loop.
  const codes = isTempfail ? `451 4.${detail}` : `554 5.${detail}`
  const text = isLoop ? 'too many hops' : 'the message header is refused'
  return namedRefusal(session, transaction, 'headers', name, codes, text, evidence)
}
