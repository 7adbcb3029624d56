/**
 * Settings of the service itself: [log], [process], [control], [store], [http], [stress].
 */
import { choice, destination, path, share, size, text } from '../kinds.ts'
import { section } from '../setting.ts'

/** [log] */
export const log = section('log', 'The system log.', {
  format: choice('format', ['json', 'logfmt', 'postfix'], 'json', 'Form of a record.'),
  to: destination(
    'to',
    'stderr',
    '`stderr`, the path of a file (opened again on SIGUSR1 and by `activemx reload`), `syslog` (/dev/log), `syslog://ADDRESS:PORT` (UDP), or `syslog+tls://ADDRESS:PORT` (RFC 5425, over a session of the TLS daemon where it runs).',
  ),
  ca: path('ca', '', 'Certificates (PEM) that may sign the syslog server’s. Empty: the system’s.'),
  servername: text(
    'servername',
    '',
    'Name in the syslog server’s certificate. Empty: not checked but for the signer.',
  ),
  level: choice(
    'level',
    ['verdicts', 'findings', 'connections'],
    'findings',
    'Verdicts and the service’s own events; with findings, probes and early talkers; with each connect, transfer and disconnect.',
  ),
  tag: text(
    'tag',
    'activemx',
    'Name of the program in the postfix format and in syslog. `postfix/smtpd` lets readers of Postfix’s log take our lines.',
  ),
  facility: choice(
    'facility',
    ['mail', 'daemon', 'local0', 'local1', 'local2', 'local3'],
    'mail',
    'Facility in syslog.',
  ),
})

/** [process] */
export const process = section('process', 'The process.', {
  user: text(
    'user',
    'activemx',
    'User dropped to when started as root; "" = stay, with a warning.',
    { affects: 'restart' },
  ),
})

/** [control] */
export const control = section('control', 'How commands reach a running instance.', {
  socket: path(
    'socket',
    '/run/activemx/control.sock',
    'Its socket: mode 0600, root or the own user by peer credentials.',
    { affects: 'restart' },
  ),
})

/** [store] */
export const store = section('store', 'What is learnt and must survive a restart.', {
  path: path('path', 'var/store', 'Folder of the store (LMDB).', { affects: 'restart' }),
  sizeMaxOctets: size(
    'size_max',
    '16GiB',
    'The largest that the store may grow; address space, not memory. Full: nothing new is kept, mail goes on.',
    { min: '16MiB', max: '1024GiB', affects: 'restart' },
  ),
})

/** [http] */
export const http = section(
  'http',
  'Metrics and the live page: still to come, nothing listens there yet.',
  {
    address: text('address', '127.0.0.1:8025', 'Address and port; "" = none.', {
      affects: 'restart',
    }),
    tokenFile: path(
      'token_file',
      '',
      'A file with the token that every changing request needs, on loopback too.',
    ),
  },
)

/**
 * [stress]; the stress value of each setting that has one stands below it (schema.ts adds them).
 */
export const stress = section(
  'stress',
  'Under stress the service waits less. It begins and ends by itself; the shorter of a setting and its stress value holds.',
  {
    at: share(
      'at',
      0.8,
      'Share of `listen.connections_max`, or of the sessions that all workers may have, at which stress begins.',
    ),
    until: share('until', 0.6, 'Share below which it ends.'),
  },
)
