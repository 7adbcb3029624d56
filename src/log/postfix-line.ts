/**
 * The `postfix` format: lines that readers of Postfix's log know (fail2ban, pflogsumm, grok).
 *
 *   refusal = "NOQUEUE: reject: " STAGE " from " host ": " reply "; " envelope
 *   observe = "NOQUEUE: warn: " STAGE " from " host ": " evidence "; " envelope
 *   pass    = id ": pass: " STAGE " from " host ": " reply "; " envelope ", size=" octets
 *   host    = "[" address "]:" port          ; as postscreen(8) writes it
 *   envelope = "from=<" … "> to=<" … "> proto=" ("SMTP" / "ESMTP") " helo=<" … ">"
 *   other   = EVENT in upper case, then the facts
 *
 * Postfix has a line per recipient; we have one per transaction, with the first recipient, and
 * `(+N)` behind it where there are more.
 */
import { unreachable } from '../base/errors.ts'
import type { VerdictRecord } from '../journey/record.ts'
import { postfixAngled, postfixText } from './escape.ts'
import type { LineBounds } from './format.ts'
import type { LogRecord, VerdictLogRecord } from './records.ts'

/** What follows `time host tag[pid]: ` of a record that is no verdict. */
export function postfixLine(
  record: Exclude<LogRecord, VerdictLogRecord>,
  bounds: LineBounds,
): string {
  const text = (value: string): string => postfixText(value, bounds.textCharacters)
  const list = (values: readonly string[]): string => {
    const shown = values.slice(0, bounds.listEntries).map(text)
    if (values.length > shown.length) shown.push(`+${values.length - shown.length}`)
    return shown.join(', ')
  }
  switch (record.event) {
    case 'connect':
      return `CONNECT from ${host(record)} to ${text(record.local)}${record.isTrusted ? ' trusted' : ''}`
    case 'pregreet':
      return `PREGREET ${record.octets} octets from ${host(record)}: ${text(record.action)}`
    case 'probe':
      return `PROBE ${text(record.test)} of ${text(record.key)} for [${text(record.client)}]: ${record.outcome} ${text(record.finding)} from ${text(record.target)} after ${record.ms} ms: ${list(record.evidence)}`
    case 'finding':
      return `FINDING ${text(record.finding)} ${record.outcome} in ${record.layer} of [${text(record.client)}]: ${list(record.evidence)}`
    case 'transfer':
      return `${text(record.id)}: TRANSFER to ${text(record.mailhost)} from [${text(record.client)}]: ${text(record.reply)}, size=${record.octets}, delay=${seconds(record.ms)}`
    case 'disconnect':
      return `DISCONNECT from ${host(record)} ${text(record.reason)} after ${seconds(record.ms)} s, transactions=${record.transactions}`
    case 'reload':
      return record.ok
        ? `RELOAD ${list(record.changes)}; needs a restart: ${list(record.restart) || 'nothing'}`
        : `RELOAD refused, the last good configuration stays: ${list(record.faults)}`
    case 'feed':
      return `FEED ${text(record.list)} ${text(record.result)}, ${record.prefixes} prefixes, ${record.setAside} set aside: ${list(record.detail)}`
    case 'store':
      return `STORE ${text(record.what)}: ${text(record.detail)}`
    case 'log_dropped':
      return `LOG_DROPPED ${record.count} records`
    case 'service':
      return `SERVICE ${text(record.what)}: ${text(record.detail)}`
    case 'dialogue':
      return `DIALOGUE [${text(record.client)}]:${record.port} ${record.from}: ${text(record.text)}`
    default:
      return unreachable(record)
  }
}

/** The same of a verdict. */
export function postfixVerdictLine(record: VerdictRecord, bounds: LineBounds): string {
  const { textCharacters } = bounds
  const from = `${stageOf(record)} from ${host(record)}`
  const reply = postfixText(record.reply, textCharacters)
  const envelope = envelopeOf(record, textCharacters)
  if (record.action === 'pass') {
    const id = postfixText(record.id, textCharacters)
    return `${id}: pass: ${from}: ${reply}; ${envelope}, size=${record.octets}, delay=${seconds(record.ms)}`
  }
  const why = postfixText([record.finding, ...record.evidence].join(', '), textCharacters)
  if (record.action === 'observe') return `NOQUEUE: warn: ${from}: ${why}; ${envelope}`
  const text = reply === '' ? `${record.action} ${why}` : reply
  return `NOQUEUE: reject: ${from}: ${text}; ${envelope}`
}

function envelopeOf(record: VerdictRecord, charactersMax: number): string {
  const recipients = [...record.recipients, ...record.recipientsRefused]
  const more = recipients.length > 1 ? ` (+${recipients.length - 1})` : ''
  const to = `${postfixAngled(recipients[0] ?? '', charactersMax)}${more}`
  const protocol = record.protocol?.startsWith('E') === true ? 'ESMTP' : 'SMTP'
  return `from=${postfixAngled(record.sender, charactersMax)} to=${to} proto=${protocol} helo=${postfixAngled(record.helo, charactersMax)}`
}

/** The command whose reply carried the verdict, as Postfix names it. */
function stageOf({ layer, recipients, recipientsRefused, sender, action }: VerdictRecord): string {
  switch (layer) {
    case 'connect':
      return 'CONNECT'
    case 'headers':
      return 'END-OF-MESSAGE'
    case 'transfer':
      return action === 'pass' ? 'END-OF-MESSAGE' : 'DATA'
    case 'protocol':
      if (recipients.length + recipientsRefused.length > 0) return 'RCPT'
      return sender === '' ? 'HELO' : 'MAIL'
    default:
      return 'RCPT'
  }
}

function host(record: { readonly client: string; readonly port: number }): string {
  return `[${record.client}]:${record.port}`
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(2)
}
