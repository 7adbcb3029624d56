/**
 * Settings of the client's side: name, [listen], [recipients], [body].
 */
import {
  choice,
  count,
  flag,
  networks,
  path,
  rate,
  size,
  sockets,
  text,
  texts,
  time,
} from '../kinds.ts'
import { section } from '../setting.ts'

/** What is done about a finding of the protocol or of a test. */
export const testModes = ['off', 'observe', 'tempfail', 'enforce'] as const

/** The name that we say we are. */
export const name = text(
  'name',
  '',
  'The name in the greeting, in Received: and in HELO to mailhosts. Empty: the machine’s host name.',
)

/** [listen] */
export const listen = section('listen', 'Where clients come in, and how many of them.', {
  smtp: sockets(
    'smtp',
    ['0.0.0.0:25', '[::]:25'],
    'Addresses and ports to listen on. `[::]` is IPv6 only; port 0 takes a free one.',
    { affects: 'restart' },
  ),
  proxyProtocolFrom: networks(
    'proxy_protocol_from',
    [],
    'Networks of balancers that put a PROXY header (v1 or v2) before each connection. From them a missing or broken header closes the connection; from nobody else is one read.',
  ),
  greetDelayMs: time(
    'greet_delay',
    '0s',
    'Wait before the greeting. Who talks in it is an early talker.',
    { max: '60s' },
  ),
  earlyTalker: choice(
    'early_talker',
    testModes,
    'enforce',
    'What is done about a client that talks before the greeting.',
  ),
  illegalPipelining: choice(
    'illegal_pipelining',
    testModes,
    'observe',
    'What is done about commands sent ahead of a reply that must be waited for (RFC 2920 §3.1).',
  ),
  connectionsMax: count(
    'connections_max',
    20_000,
    'Connections at once. Above: 421 4.3.2. 0 = no limit.',
  ),
  sessionsPerWorkerMax: count(
    'sessions_per_worker_max',
    10_000,
    'Sessions of one worker thread at once. Above, in every worker: 421 4.3.2 from the gate.',
    { min: 1, max: 1_000_000 },
  ),
  perAddressMax: count(
    'per_address_max',
    50,
    'Connections at once from one address (IPv6: one /64). Above: 421 4.7.0.',
    { stress: 20 },
  ),
  rateMax: rate(
    'rate_max',
    '60/min',
    'New connections from one address (IPv6: one /64). Above: 421 4.7.0.',
  ),
  tarpitMax: count(
    'tarpit_max',
    5000,
    'Connections held in the tarpit at once. Above, a tarpitted client is refused at once; 0 = nobody is held.',
  ),
  firstCommandWaitMs: time(
    'first_command_wait',
    '60s',
    'Wait for a client’s first command after the greeting. RFC 5321 §4.5.3.2.7 asks for 5 minutes between commands; a client that never began one is cut earlier.',
    { min: '1s', max: '1h', stress: '10s' },
  ),
  commandWaitMs: time('command_wait', '5m', 'Wait for the next command. RFC 5321 §4.5.3.2.7.', {
    min: '1s',
    max: '1h',
    stress: '10s',
  }),
  lineWaitMs: time(
    'line_wait',
    '60s',
    'Time for one whole command line, from its first octet to its line end, however slowly it drips.',
    { min: '1s', max: '1h', stress: '10s' },
  ),
  dataWaitMs: time(
    'data_wait',
    '3m',
    'Wait for the next octets of a message. RFC 5321 §4.5.3.2.5 gives the sender 3 minutes a block.',
    { min: '1s', max: '1h', stress: '30s' },
  ),
  sessionMaxMs: time(
    'session_max',
    '2h',
    'A connection that lasts longer gets 421 4.4.2 at its next command.',
    { stress: '10m' },
  ),
  errorsMax: count('errors_max', 20, 'Faulty or refused commands before 421 4.7.0 and close.', {
    min: 1,
    max: 1000,
    stress: 5,
  }),
  transactionsMax: count(
    'transactions_max',
    100,
    'Messages in one connection; then 421 4.7.0, so that no client holds a session for ever.',
  ),
  stopWaitMs: time(
    'stop_wait',
    '60s',
    'On SIGTERM, how long running transactions may take to finish; 0 = none is waited for.',
    { max: '10m' },
  ),
  workers: count('workers', 0, 'Serving threads; 0 = one per core.', {
    max: 256,
    affects: 'restart',
  }),
})

/** [recipients] */
export const recipients = section('recipients', 'Whom we take mail for.', {
  domains: texts(
    'domains',
    [],
    'Recipient domains that are ours. `*.example.org` holds every name below `example.org`, not itself. Every other domain is refused with 550 5.7.1, from trusted hosts too.',
  ),
  domainsFile: path(
    'domains_file',
    '',
    'A file with more of them, one a line, `#` begins a comment. Read again at reload.',
  ),
  partners: texts(
    'partners',
    [],
    'Domains of others that trusted hosts, and nobody else, may write to through us; give each a `mailhost.route`. What they write to is what `whitelist.learn` learns.',
  ),
  exempt: texts(
    'exempt',
    ['postmaster', 'abuse'],
    'Local parts in our domains whose mail skips the active tests (RFC 5321 §4.5.1).',
  ),
  max: count('max', 1000, 'Recipients of one message; above: 452 4.5.3. RFC 5321 §4.5.3.1.8.', {
    min: 100,
    max: 10_000,
  }),
})

/** [body] */
export const body = section('body', 'What a message may be made of.', {
  stray: choice(
    'stray',
    ['refuse', 'normalise'],
    'refuse',
    'A bare CR, bare LF or NUL in a message: refuse it with 554 5.6.0, or pass it on with CRLF for each bare LF and a space for each bare CR and NUL. None ever reaches the mailhost.',
  ),
  sizeMaxOctets: size(
    'size_max',
    '50MB',
    'The largest message; a smaller SIZE of a mailhost wins. Above: 552 5.3.4.',
    { stress: '25MB' },
  ),
  received: flag('received', true, 'Add a Received: header field (RFC 5321 §4.4).'),
})
