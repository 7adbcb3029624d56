/**
 * Settings of the mailhost's side: [mailhost], [[mailhost.route]], [tls], [tls_daemon].
 */
import { choice, count, endpoints, flag, path, text, texts, time } from '../kinds.ts'
import { section, tables } from '../setting.ts'

/** [mailhost] */
export const mailhost = section('mailhost', 'The protected mail server.', {
  addresses: endpoints(
    'addresses',
    [],
    'Mailhosts in order; the next one serves when one is away. Addresses, not names.',
  ),
  sessionsMax: count(
    'sessions_max',
    40,
    'Sessions to each mailhost at once, over all threads. A Postfix mailhost allows about 50 from one client.',
    { min: 1, max: 100_000 },
  ),
  waitMs: time(
    'wait',
    '5s',
    'Wait for a free session, then 451 4.3.2; for the next mailhost if this one says nothing.',
    {
      min: '100ms',
      max: '5m',
      stress: '1s',
    },
  ),
  clientIdentity: choice(
    'client_identity',
    ['none', 'xforward', 'xclient', 'proxy'],
    'xforward',
    'How the mailhost learns who the client is. `proxy` takes a connection per client (PROXY version 1; when the mailhost is only asked for its EHLO it stands at both ends of the header). Behind `proxy` and `xclient` EHLO has the client’s name. A mailhost that does not offer XFORWARD or XCLIENT learns it from Received: alone, with a warning.',
  ),
  tls: choice(
    'tls',
    ['off', 'opportunistic', 'required'],
    'off',
    'STARTTLS to the mailhost: never; where it is offered; or nothing without it.',
  ),
  sessions: choice(
    'sessions',
    ['pooled', 'shared'],
    'pooled',
    'Sessions of our own, or sessions that the TLS session daemon shares with other programs.',
  ),
  ca: path('ca', '', 'Certificates (PEM) that may sign the mailhost’s. Empty: the system’s.'),
  servername: text(
    'servername',
    '',
    'Name in the mailhost’s certificate. Empty: not checked but for the signer.',
  ),
  helo: text('helo', '', 'Our name in EHLO to the mailhost. Empty: `name`.'),
  connectWaitMs: time(
    'connect_wait',
    '5s',
    'Wait for a connection before the next mailhost is tried.',
    {
      min: '100ms',
      max: '1m',
    },
  ),
  replyWaitMs: time(
    'reply_wait',
    '5m',
    'Wait for the reply to a command, and for the mailhost to take more. RFC 5321 §4.5.3.2.',
    { min: '1s', max: '1h' },
  ),
  finalReplyWaitMs: time(
    'final_reply_wait',
    '10m',
    'Wait for the reply to the end of data. RFC 5321 §4.5.3.2.6.',
    { min: '1s', max: '1h' },
  ),
  idleMs: time('idle', '30s', 'How long an unused session is kept open.', {
    min: '100ms',
    max: '1h',
  }),
  messagesPerSessionMax: count(
    'messages_per_session_max',
    100,
    'Messages through one session before it is closed.',
  ),
  retryMs: time(
    'retry',
    '10s',
    'How long a mailhost that failed is left alone before it is tried again.',
    {
      min: '100ms',
      max: '10m',
    },
  ),
  route: tables('route', 'Other mailhosts for some recipient domains.', {
    domains: texts('domains', [], 'Recipient domains; `*.example.org` holds every name below it.'),
    addresses: endpoints('addresses', [], 'Their mailhosts, in order.'),
  }),
})

/** [tls] */
export const tls = section(
  'tls',
  'STARTTLS for clients; offered when certificate and key are set.',
  {
    certificate: path('certificate', '', 'Certificate chain (PEM).'),
    key: path('key', '', 'Its private key (PEM), readable by root or the service alone.'),
    ticketSecret: path(
      'ticket_secret',
      '',
      'A file of random octets, the same for all instances of the service: session tickets are good for each. Empty: for this process alone.',
    ),
    sni: tables('sni', 'Other certificates for some names that clients ask for.', {
      names: texts('names', [], 'Host names; `*.example.org` holds every name one level below it.'),
      certificate: path('certificate', '', 'Certificate chain (PEM).'),
      key: path('key', '', 'Its private key (PEM).'),
    }),
    versionMin: choice('version_min', ['1.2', '1.3'], '1.2', 'The oldest TLS version taken.'),
    handshakeWaitMs: time('handshake_wait', '30s', 'Time for a handshake.', {
      min: '1s',
      max: '5m',
      stress: '10s',
    }),
  },
)

/** [tls_daemon] */
export const tlsDaemon = section('tls_daemon', 'The shared TLS session daemon.', {
  socket: path('socket', '/run/activemx/tls.sock', 'Its socket (0600, peer credentials).', {
    affects: 'restart',
  }),
  queue: choice(
    'queue',
    ['fifo', 'priority'],
    'fifo',
    'Order of waiting calls: first in, first out; or highest priority first.',
    { affects: 'restart' },
  ),
  ageing: flag(
    'ageing',
    false,
    'With `priority`: a waiting call rises with time, so that none starves.',
    { affects: 'restart' },
  ),
  programs: texts(
    'programs',
    [],
    'Programs that a session may start on receipt: `name=/absolute/path argument …`.',
    { affects: 'restart' },
  ),
  targetSessionsMax: count('target_sessions_max', 40, 'Connections to one peer, over all names.', {
    min: 1,
    max: 4096,
    affects: 'restart',
  }),
})
