/**
 * Settings of the active tests: [tests], [probe], [cache], [dns].
 */
import { headerChecks } from '../../checks/header-form.ts'
import {
  choice,
  choices,
  count,
  flag,
  path,
  rate,
  share,
  sockets,
  text,
  texts,
  time,
} from '../kinds.ts'
import { section } from '../setting.ts'
import { testModes } from './listen.ts'

const mode = choice(
  'mode',
  testModes,
  'off',
  'Off; log what would have happened; refuse for now; refuse.',
)
const indeterminate = choice(
  'indeterminate',
  ['pass', 'tempfail'],
  'pass',
  'What is done when the test finds nothing out.',
)

/** [tests] */
export const tests = section('tests', 'What is asked about a client while it waits.', {
  at: choice(
    'at',
    ['mail', 'rcpt', 'data'],
    'rcpt',
    'The command whose reply waits for the tests.',
  ),
  dialup: section('dialup', 'Is the client a dialup? By its name and its neighbours’.', {
    mode,
    indeterminate,
    noPtr: choice(
      'no_ptr',
      ['indeterminate', 'dialup'],
      'indeterminate',
      'What a client without a name is.',
    ),
    patterns: path('patterns', '', 'A file of name patterns beside the built-in rules.'),
    neighbours: count('neighbours', 3, 'Addresses asked on each side.', { max: 8 }),
    neighboursAlike: count(
      'neighbours_alike',
      3,
      'Neighbours of the same shape that make a pool.',
      {
        min: 1,
        max: 16,
      },
    ),
  }),
  relay: section('relay', 'Is the client an open relay? Asked up to RCPT, never DATA.', {
    mode,
    indeterminate,
    forms: choices(
      'forms',
      [
        'plain',
        'own-name',
        'localhost',
        'no-domain',
        'null',
        'literal',
        'quoted',
        'percent',
        'bang',
        'route',
      ],
      ['plain'],
      'Address forms that are offered.',
    ),
  }),
  user: section('user', 'Does the sender exist at its own mailhost?', {
    mode,
    indeterminate,
    depth: choice(
      'depth',
      ['rcpt', 'data', 'message'],
      'rcpt',
      'How far the question goes; a final dot is never sent.',
    ),
    nextMx: flag('next_mx', true, 'Try the next MX when one cannot be reached.'),
    callAhead: flag(
      'call_ahead',
      false,
      'Before the tests, ask the mailhost whether the recipient exists; one that does not is refused and causes no question to others. With `tests.at = "rcpt"`, where the tests know the recipient.',
    ),
  }),
  headers: section('headers', 'Rules on the message header.', {
    mode,
    indeterminate: choice(
      'indeterminate',
      ['pass', 'tempfail'],
      'pass',
      'As in the other tests; rules always find out, so nothing comes of it.',
    ),
    rules: path(
      'rules',
      '',
      'A file of rules, one a line: `Header: /pattern/ action reply` (docs/active-filtering.md).',
    ),
    checks: choices(
      'checks',
      headerChecks,
      [
        'missing-from',
        'double-from',
        'double-date',
        'double-message-id',
        'received-loop',
        'long-line',
        'forbidden-octet',
      ],
      'Built-in checks that are made.',
    ),
    receivedMax: count(
      'received_max',
      100,
      'Received: fields that make a loop. RFC 5321 §6.3 asks for at least 100.',
      {
        min: 10,
        max: 1000,
      },
    ),
  }),
})

/** [probe] */
export const probe = section(
  'probe',
  'How we ask others. An identity is required before a test is switched on.',
  {
    helo: text('helo', '', 'Our name in HELO; it must resolve forward and back.'),
    source: texts('source', [], 'Local addresses to ask from. Empty: the system’s choice.'),
    sender: text('sender', '', 'MAIL FROM of the relay probe. Empty: <>.'),
    relayRecipient: text('relay_recipient', '', 'An address of ours, tagged, for the relay probe.'),
    ownNetworks: texts(
      'own_networks',
      [],
      'Networks and addresses of ours that no probe connects to, beside listeners and mailhosts: public addresses that a balancer or NAT holds for us.',
    ),
    port: count('port', 25, 'Port of MX and reverse connections.', { min: 1, max: 65_535 }),
    budgetMs: time(
      'budget',
      '120s',
      'All tests of one transaction together; then the policy for indeterminate.',
      {
        min: '1s',
        max: '240s',
        stress: '20s',
      },
    ),
    connectWaitMs: time('connect_wait', '10s', 'Wait for one connection.', {
      min: '100ms',
      max: '1m',
    }),
    replyWaitMs: time('reply_wait', '30s', 'Wait for one reply.', { min: '100ms', max: '5m' }),
    perDomain: rate('per_domain', '20/min', 'Questions to one destination domain.'),
    perHost: rate('per_host', '30/min', 'Questions to one MX host.'),
    perNetwork: rate('per_network', '60/min', 'Questions to one /24 (IPv6: /64).'),
    perClient: rate('per_client', '10/h', 'Questions that one client causes.'),
    total: rate('total', '6000/min', 'Questions in all.'),
    inFlightMax: count('in_flight_max', 10_000, 'Questions at once.', { min: 1, max: 100_000 }),
    backOffMs: time(
      'back_off',
      '10m',
      'After 421 or 450 a host is left alone for this time, doubled each time up to a day.',
      {
        min: '1s',
      },
    ),
    breakerShare: share(
      'breaker_share',
      0.8,
      'Share of failures that stops all asking for `breaker_wait`; a network has one vote, and so has a registered domain.',
    ),
    breakerWaitMs: time('breaker_wait', '1m', 'How long the breaker stays open.', { min: '1s' }),
    allowLoopback: flag(
      'allow_loopback',
      false,
      'Open 127.0.0.0/8 and ::1 to probes. Tests and demo only.',
    ),
  },
)

/** [cache] */
export const cache = section(
  'cache',
  'How long answers to our questions are kept; 0 = not at all.',
  {
    userExistsMs: time('user_exists', '7d', 'The sender exists.'),
    userUnknownMs: time('user_unknown', '4h', 'The sender does not exist.'),
    acceptsAllMs: time('accepts_all', '7d', 'The domain accepts every address.'),
    refusesUsMs: time('refuses_us', '12h', 'The domain refuses us.'),
    dialupMs: time('dialup', '3d', 'The host is, or is not, a dialup.'),
    relayMs: time('relay', '3d', 'The host is, or is not, an open relay.'),
    indeterminateMs: time('indeterminate', '15m', 'Nothing was found out.'),
    entriesMax: count('entries_max', 10_000_000, 'Entries in all; the oldest go first.', {
      min: 1000,
    }),
  },
)

/** [dns] */
export const dns = section(
  'dns',
  'Name servers and how long their answers are kept; 0 = not at all.',
  {
    servers: sockets('servers', [], 'Servers as address:port. Empty: the system’s.'),
    waitMs: time('wait', '2s', 'Wait for one answer of one server.', { min: '100ms', max: '30s' }),
    tries: count('tries', 2, 'Tries per server.', { min: 1, max: 5 }),
    ttlMaxMs: time('ttl_max', '1h', 'The longest that a record is kept, whatever its TTL.'),
    ttlMs: time(
      'ttl',
      '10m',
      'How long MX and PTR answers are kept (their own time is not told to us).',
    ),
    negativeTtlMs: time(
      'negative_ttl',
      '2m',
      'How long the answer that there is nothing is kept; trouble for a minute at most.',
    ),
    entriesMax: count('entries_max', 100_000, 'Answers in memory; the oldest go first.', {
      min: 100,
    }),
  },
)
