/**
 * Town cases: what a whole proxy with every test enforced says of the hosts of the town (town.ts,
 * with the PTR of 127.0.4.3 unanswered), and how the evidence of its verdict begins.
 */

const unclear = (detail: string): readonly string[] => [
  'relay indeterminate relay-unclear',
  'reverse connection made',
  detail,
]
/** The relay test of mail.good.example, which takes nothing for others. */
const noRelay = [
  'relay negative no-relay',
  'reverse connection made',
  'plain recipient: 550 5.1.1 <probe+127-0-1-1@home.example>... User unknown',
] as const
/** The user test of a sender who is there; `asked` is whom it was asked of. */
const exists = (...asked: readonly string[]): readonly string[] => [
  'user negative user-exists',
  ...asked,
  'sender recipient: 250 2.1.5 ok',
  'read as accepts (250 at recipient)',
]
/** What is said of anna@good.example. */
export const annaExists = exists('asked mail.good.example 127.0.1.1')
const relayOff = ['dialup']
const dialupOff = ['relay ']

/** What the hosts of the town come to: the reply, and how the evidence of the verdict begins. */
export const townCases: readonly {
  readonly label: string
  readonly from: string
  readonly sender?: string
  readonly want: RegExp
  readonly evidence: readonly string[]
  readonly unsaid?: readonly string[]
}[] = [
  {
    label: 'B9 reverse connection made: relay alone; B13 550 goes on; B14 250 passes',
    from: '127.0.1.1',
    want: /^250/,
    evidence: [...noRelay, ...annaExists],
    unsaid: relayOff,
  },
  {
    label: 'B9 reverse connection refused: dialup alone; B11 a pool name is rejected',
    from: '127.0.2.7',
    want: /^550 5\.7\.1 .*id=\S+/,
    evidence: [
      'dialup positive pool-name',
      'reverse connection refused (ECONNREFUSED)',
      'PTR 127-0-2-7.dialup.pool.example',
      'address-in-name 127.0.2.7',
    ],
    unsaid: dialupOff,
  },
  {
    label: 'B11 a dialup by its neighbours',
    from: '127.0.3.11',
    want: /^550 5\.7\.1 /,
    evidence: [
      'dialup positive pool-neighbours',
      'reverse connection refused (ECONNREFUSED)',
      'PTR c11.zone4.town.example',
      'c11.zone4.town.example leads back',
      'neighbours alike: c10.zone4.town.example c12.zone4.town.example c13.zone4.town.example',
    ],
  },
  {
    label: 'B11 a mail host behind a firewall passes',
    from: '127.0.4.1',
    want: /^250/,
    evidence: [
      'dialup negative no-pool',
      'reverse connection refused (ECONNREFUSED)',
      'PTR mailout.shy.example',
      'mailout.shy.example leads back',
      ...annaExists,
    ],
  },
  {
    label: 'B11 no PTR is indeterminate, unless set otherwise',
    from: '127.0.4.2',
    want: /^250/,
    evidence: [
      'dialup indeterminate no-name',
      'reverse connection refused (ECONNREFUSED)',
      'no PTR',
      ...annaExists,
    ],
  },
  {
    label: 'B11 a PTR that times out is indeterminate',
    from: '127.0.4.3',
    want: /^250/,
    evidence: [
      'dialup indeterminate dns-trouble',
      'reverse connection refused (ECONNREFUSED)',
      'PTR: ETIMEOUT',
      ...annaExists,
    ],
  },
  {
    label: 'B13 an open relay is rejected',
    from: '127.0.5.1',
    want: /^550 5\.7\.1 .*id=\S+/,
    evidence: [
      'relay positive open-relay',
      'reverse connection made',
      'plain recipient: 250 2.1.5 ok',
    ],
  },
  {
    label: 'B13 4xx proves nothing',
    from: '127.0.6.4',
    want: /^250/,
    evidence: [...unclear('conversation finished'), 'plain recipient: 450 4.2.0 try later'],
  },
  {
    label: 'B13 garbage proves nothing',
    from: '127.0.6.13',
    want: /^250/,
    evidence: unclear('conversation nonsense'),
  },
  {
    label: 'B13 a close proves nothing',
    from: '127.0.6.11',
    want: /^250/,
    evidence: unclear('conversation closed-by-peer'),
  },
  {
    label: 'B14 a forged sender is refused',
    from: '127.0.1.1',
    sender: 'nobody@good.example',
    want: /^550 5\.1\.8 .*id=\S+/,
    evidence: [
      ...noRelay,
      'user positive no-such-user',
      'asked mail.good.example 127.0.1.1',
      'sender recipient: 550 5.1.1 <nobody@good.example>... User unknown',
      'read as no-such-user (user unknown)',
    ],
  },
  {
    label: 'B14 a server that refuses us proves nothing about the sender',
    from: '127.0.1.1',
    sender: 'x@lists.example',
    want: /^250/,
    evidence: [
      ...noRelay,
      'user indeterminate refuses-us',
      'asked mail.lists.example 127.0.6.6',
      'random recipient: 550 5.7.1 your IP is listed',
      'read as refuses-us (5.7.1)',
    ],
  },
  {
    label: "B15 no MX: the domain's own address is asked",
    from: '127.0.1.1',
    sender: 'carl@nomx.example',
    want: /^250/,
    evidence: [...noRelay, ...exists('no MX, nomx.example itself', 'asked nomx.example 127.0.1.4')],
  },
  {
    label: "B15 no MX: a forged sender is refused by the domain's own address",
    from: '127.0.1.1',
    sender: 'nobody@nomx.example',
    want: /^550 5\.1\.8 /,
    evidence: [
      ...noRelay,
      'user positive no-such-user',
      'no MX, nomx.example itself',
      'asked nomx.example 127.0.1.4',
    ],
  },
  {
    label: 'B16 an unreachable exchanger: delivered, logged as indeterminate',
    from: '127.0.1.1',
    sender: 'emil@away.example',
    want: /^250/,
    evidence: [
      ...noRelay,
      'user indeterminate unreachable',
      'mailout.shy.example 127.0.4.1 refused: ECONNREFUSED',
    ],
  },
  {
    label: 'B17 on: the next MX is asked, in order of preference',
    from: '127.0.1.1',
    sender: 'nobody@half.example',
    want: /^550 5\.1\.8 /,
    evidence: [
      ...noRelay,
      'user positive no-such-user',
      'mailout.shy.example 127.0.4.1 refused: ECONNREFUSED',
      'asked mx2.good.example 127.0.1.2',
    ],
  },
  {
    label: 'B19 a bounce is delivered, and nobody is asked for it',
    from: '127.0.1.1',
    sender: '',
    want: /^250/,
    evidence: noRelay,
    unsaid: ['user'],
  },
]
