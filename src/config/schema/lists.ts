/**
 * Settings of the lists: [lists] and its tables, [whitelist], [feedback].
 */
import { choice, choices, count, flag, path, share, text, time } from '../kinds.ts'
import { section, tables } from '../setting.ts'

const everyDoc =
  'How often the file or feed is looked at again; a feed that did not change costs one conditional request.'
const nameDoc = 'Name in replies, log and metrics. Empty: the file’s name without suffix. Unique.'

function exemption(name: string, doc: string) {
  return tables(name, doc, {
    name: text('name', '', nameDoc),
    file: path('file', '', 'Path of the list; or an https:// address.'),
    everyMs: time('every', '1h', everyDoc, { min: '1m' }),
  })
}

/** [lists] */
export const lists = section('lists', 'Address lists, as files or feeds.', {
  allowLoopback: flag(
    'allow_loopback',
    false,
    'Let lists hold 127.0.0.0/8 and ::1. For tests, demo and try-out only; said at start.',
  ),
  keep: choice(
    'keep',
    ['files', 'store'],
    'files',
    'Keep the lists as files, or all merged in the store.',
    {
      affects: 'restart',
    },
  ),
  blacklistForm: choice(
    'blacklist_form',
    ['prefix', 'bitmap24', 'hashed', 'text'],
    'prefix',
    'How the blacklist is held and explained: prefix tables in memory; a bit per /24 in a file; hashed in an LMDB file; plain text. The gate asks a compiled copy of every form.',
    { affects: 'restart' },
  ),
  badLinesMax: share(
    'bad_lines_max',
    0.01,
    'Share of unreadable lines above which a list is refused; one beside good ones is forgiven, but for 0.',
  ),
  cache: path(
    'cache',
    '',
    'Folder of fetched feeds and table snapshots. Empty: `lists` in the store’s folder.',
    { affects: 'restart' },
  ),
  dynamicAction: choice(
    'dynamic_action',
    ['refuse', 'tarpit', 'reset', 'drop', 'observe'],
    'refuse',
    'What is done with hosts that feedback or `activemx list dynamic add` entered.',
  ),
  dynamicReply: text(
    'dynamic_reply',
    '554 5.7.1 Refused: {address} was found misbehaving, id={id}',
    'Reply to such hosts.',
  ),
  trusted: exemption(
    'trusted',
    'Networks and domain names that skip every filter but the recipient domains.',
  ),
  blacklist: tables('blacklist', 'Addresses refused immediately after connecting.', {
    name: text('name', '', `${nameDoc} \`dynamic\` is the list that feedback fills.`),
    file: path('file', '', 'Path of the list; or the https:// address of a feed.'),
    everyMs: time('every', '1h', everyDoc, { min: '1m' }),
    coverageMax: share(
      'coverage_max',
      0.05,
      'Share of the address space above which the list is refused and the last good one stays.',
    ),
    changeMax: share(
      'change_max',
      0.5,
      'Change against the last good one above which the list is refused.',
    ),
    shortestPrefix: count(
      'shortest_prefix',
      8,
      'Shorter IPv4 prefixes are set aside and reported (IPv6: three times as long).',
      {
        max: 32,
      },
    ),
    expiresMs: time(
      'expires',
      '7d',
      'Age at which a feed that no longer comes is dropped; "" = never.',
    ),
    format: choice(
      'format',
      ['auto', 'netset', 'drop', 'rbldnsd', 'postfix-cidr', 'spamd', 'plain'],
      'auto',
      'Format of the file; `auto` looks at its content.',
    ),
    action: choice(
      'action',
      ['refuse', 'tarpit', 'reset', 'drop', 'observe'],
      'refuse',
      'Reply and close; one octet a second; reset; silent; or only log.',
    ),
    reply: text(
      'reply',
      '554 5.7.1 Refused: {address} is listed in {list}, id={id}',
      'Reply to a listed client. `{address}`, `{list}` and `{id}` are filled in.',
    ),
  }),
  relay: exemption('relay', 'Hosts that skip the relay probe.'),
  dialup: exemption('dialup', 'Hosts that skip the dialup test.'),
  neverBlock: exemption('never_block', 'Networks that no list and no feedback can refuse.'),
})

/** [whitelist] */
export const whitelist = section('whitelist', 'Senders whose mail skips the active tests.', {
  mode: choice('mode', ['on', 'off'], 'on', 'Whether the whitelist is asked.'),
  require: choice('require', ['none', 'spf'], 'none', '`spf`: a match counts only with SPF pass.'),
  learn: flag(
    'learn',
    false,
    'Learn from the mail that trusted hosts send out through us: the recipients, in `recipients.partners`, of senders of ours.',
  ),
  expiresMs: time(
    'expires',
    '',
    'Forget an address after this time without mail to it; "" = never.',
  ),
})

/** [feedback] */
export const feedback = section('feedback', 'Findings that enter the dynamic blacklist.', {
  layers: choices(
    'layers',
    ['relay', 'dialup', 'user', 'headers'],
    ['relay', 'dialup'],
    'Layers whose findings are fed back.',
  ),
  findings: count(
    'findings',
    2,
    'Findings, ten minutes apart at least, before a host is entered.',
    {
      min: 1,
      max: 1000,
    },
  ),
  ttlMs: time('ttl', '24h', 'How long an entry lives.', { min: '1s', max: '365d' }),
  promoteHosts: count(
    'promote_hosts',
    3,
    'Bad hosts in a /24 (IPv6: /64s in a /56) with no good one before the block is listed; 0 = never.',
  ),
  goodForMs: time(
    'good_for',
    '30d',
    'A host that delivered accepted mail within this time is never entered for `user` or `headers`; 0 = nobody is spared.',
  ),
})
