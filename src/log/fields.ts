/**
 * The fields of each event in the order in which a line shows them, with their meaning: the formats
 * and docs/log.md are made from this table.
 */
import type { LogEvent } from './records.ts'

/** One field: its key in a line, its name in the record, its meaning. */
export interface Field {
  readonly key: string
  readonly name: string
  readonly doc: string
}

const client = field('client', 'client', 'Address of the remote host; IPv4-mapped is IPv4.')
const port = field('port', 'port', 'Its port.')
const ms = field('ms', 'ms', 'Duration in milliseconds.')
const octets = field('octets', 'octets', 'Octets of the message as received.')
const evidence = field('evidence', 'evidence', 'Facts that a postmaster can check.')
const finding = field('finding', 'finding', 'Name of the finding, kebab-case; "" for a plain pass.')
const layer = field('layer', 'layer', 'Layer of the filter that decided.')
const outcome = field('outcome', 'outcome', 'positive, negative or indeterminate.')
const id = field('id', 'id', 'Id of the verdict; a refusal in our words carries it.')
const detail = field('detail', 'detail', 'In words.')

/** The fields of every event, after `time` and `event`. */
export const fieldsOf: Readonly<Record<LogEvent, readonly Field[]>> = {
  verdict: [
    id,
    client,
    port,
    field('helo', 'helo', 'Argument of HELO or EHLO.'),
    field('sender', 'sender', 'MAIL FROM without brackets; "" = <>.'),
    field('recipients', 'recipients', 'Recipients taken.'),
    field('recipients_refused', 'recipientsRefused', 'Recipients refused inside the transaction.'),
    layer,
    finding,
    field('action', 'action', 'pass, refuse, tempfail, observe, reset, drop or tarpit.'),
    field('reply', 'reply', 'The reply that the client got.'),
    evidence,
    field('mailhost_reply', 'mailhostReply', 'The mailhost’s reply, "" when it gave none.'),
    octets,
    ms,
    field('tls', 'tls', 'TLS version and cipher of the client, "" = none.'),
    field('protocol', 'protocol', 'SMTP, ESMTP or ESMTPS; "" before HELO.'),
  ],
  connect: [
    client,
    port,
    field('local', 'local', 'Our address and port.'),
    field('trusted', 'isTrusted', 'In a trusted network.'),
  ],
  pregreet: [
    client,
    port,
    field('octets', 'octets', 'Octets sent before the greeting.'),
    field('action', 'action', 'What was done about it.'),
  ],
  probe: [
    client,
    field('test', 'test', 'dialup, relay, user, or recipient (call-ahead).'),
    field('key', 'key', 'What was asked about: an address or mailbox.'),
    field('target', 'target', 'Host that was asked.'),
    outcome,
    finding,
    ms,
    evidence,
  ],
  finding: [client, layer, finding, outcome, evidence],
  transfer: [
    id,
    client,
    field('mailhost', 'mailhost', 'Address and port of the mailhost.'),
    field('reply', 'reply', 'Its reply to the end of data.'),
    octets,
    ms,
  ],
  disconnect: [
    client,
    port,
    field('reason', 'reason', 'closed (by us), ended, reset or timeout.'),
    field('transactions', 'transactions', 'Transactions of the connection.'),
    field('octets', 'octets', 'Octets received.'),
    ms,
  ],
  reload: [
    field('ok', 'ok', 'Whether the new configuration holds; else the last good one does.'),
    field('changes', 'changes', 'Settings that took effect.'),
    field('faults', 'faults', 'What is wrong.'),
    field('restart', 'restart', 'Settings that changed and need a restart.'),
  ],
  feed: [
    field('list', 'list', 'Name of the list.'),
    field(
      'result',
      'result',
      'loaded, unchanged (the feed had nothing new), failed (not fetched: what was fetched last serves), refused or expired.',
    ),
    field('prefixes', 'prefixes', 'Prefixes in force.'),
    field('set_aside', 'setAside', 'Entries set aside.'),
    field('detail', 'detail', 'Reasons, one each.'),
  ],
  store: [field('what', 'what', 'opened, rebuilt, full, fault or recovered.'), detail],
  log_dropped: [field('count', 'count', 'Records that found the buffer full since the last one.')],
  service: [
    field('what', 'what', 'ready, warning, fault, stress, worker, lists, mailhost, tls or stop.'),
    detail,
  ],
  dialogue: [
    client,
    port,
    field('stage', 'stage', 'hello, envelope, tests, message or transfer.'),
    field('from', 'from', 'Who says it: client, proxy or mailhost.'),
    field('to', 'to', 'To whom.'),
    field('text', 'text', 'One line as sent.'),
  ],
}

function field(key: string, name: string, doc: string): Field {
  return { key, name, doc }
}
