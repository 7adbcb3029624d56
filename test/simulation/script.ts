/**
 * The scripts of simulated clients: honest and hostile, with letters whose octets at the mailhost
 * are written down here by hand, not computed by what is tested.
 */
import type { JourneyPolicy } from '../../src/journey/policy.ts'
import type { Random } from '../support/random.ts'
import type { Letter, Script, Step } from './client.ts'

/** What a script is made for. */
export interface ScriptPlace {
  readonly random: Random
  readonly policy: JourneyPolicy
  readonly isTrusted: boolean
  readonly keywords: readonly string[]
  /** A number that no other letter of the world has. */
  newNumber(): number
}

/** A message: as sent, and as the mailhost gets it when stray octets are replaced. */
interface Body {
  readonly sent: string
  /** Absent: as sent. */
  readonly normalised?: string
  /** Its header meets the rule that refuses. */
  readonly isBad?: boolean
  /** Sent by BDAT too: no dot in it is stuffed, and it holds no stray octet. */
  readonly isChunkable?: boolean
}

const plain = 'From: <a@client.example>\r\nSubject: hello\r\n\r\nbody\r\n'

const bodies: readonly Body[] = [
  { sent: plain, isChunkable: true },
  { sent: plain, isChunkable: true },
  { sent: '' },
  { sent: `${plain}..stuffed\r\n...twice\r\n..\r\nend\r\n` },
  { sent: `Subject: big\r\nFrom: x\r\n\r\n${'line of text\r\n'.repeat(600)}`, isChunkable: true },
  { sent: `${plain}${'a\r\n..b\r\n\r\n..\r\n'.repeat(80)}` },
  { sent: `${plain}${'\r\n..c\r\n'.repeat(300)}` },
  { sent: `Subject: long\r\nFrom: x\r\n\r\n${'a'.repeat(5_000)}\r\n`, isChunkable: true },
  { sent: `Subject: bad\r\nFrom: x\r\n\r\n${'line\r\n'.repeat(300)}`, isBad: true },
  {
    sent: 'Subject: x\r\nFrom: x\r\n\r\nbare\nnewline\r\n',
    normalised: 'Subject: x\r\nFrom: x\r\n\r\nbare\r\nnewline\r\n',
  },
  {
    sent: 'Subject: x\r\nFrom: x\r\n\r\nbare\rreturn\n.\r\nMAIL FROM:<evil@x.example>\r\n',
    normalised: 'Subject: x\r\nFrom: x\r\n\r\nbare return\r\n..\r\nMAIL FROM:<evil@x.example>\r\n',
  },
  {
    sent: 'Subject: x\r\nFrom: x\r\n\r\nnul \0 here\r\n.\n.\0\r\nend\r\n',
    normalised: 'Subject: x\r\nFrom: x\r\n\r\nnul   here\r\n..\r\n.. \r\nend\r\n',
  },
]

const others: readonly Step[] = [
  { kind: 'plain', text: 'NOOP\r\n', want: /^250 2\.0\.0 ok/ },
  { kind: 'plain', text: 'VRFY a\r\n', want: /^252 / },
  { kind: 'plain', text: 'HELP\r\n', want: /^214 / },
  { kind: 'plain', text: 'XYZZY\r\n', want: /^500 5\.5\.2 command not known/ },
  { kind: 'plain', text: 'AUTH PLAIN\r\n', want: /^502 / },
  { kind: 'plain', text: 'BDAT x\r\n', want: /^50[12] 5\.5\.[14] / },
  { kind: 'plain', text: `NOOP ${'x'.repeat(2_100)}\r\n`, want: /^500 5\.5\.2 line too long/ },
]

const rset: Step = { kind: 'plain', text: 'RSET\r\n', want: /^250 2\.0\.0 reset/ }

/** A script of a random kind. */
export function newScript(place: ScriptPlace): Script {
  const { random } = place
  const style = random.pick(['lockstep', 'lockstep', 'groups', 'groups', 'blind', 'noise'] as const)
  const turns: Step[][] = [[{ kind: 'hello', text: random.pick(hellos) }]]
  const letters = 1 + random.below(3)
  for (let at = 0; at < letters; at++) {
    const steps = letterSteps(place)
    // Never between DATA and its body.
    const places = steps.length - (steps.at(-1)?.kind === 'body' ? 1 : 0)
    if (random.chance(0.15)) steps.splice(random.below(places), 0, { ...random.pick(others) })
    if (style === 'lockstep') turns.push(...steps.map((step) => [step]))
    else if (style === 'groups') turns.push(...groupsOf(steps))
    else turns.push(steps)
  }
  if (style === 'blind') turns.splice(0, turns.length, turns.flat())
  if (style === 'noise') {
    const steps = shuffled(random, turns.slice(1).flat())
    turns.splice(1, turns.length, ...steps.map((step) => [step]))
  }
  if (random.chance(0.8)) turns.push([{ kind: 'plain', text: 'QUIT\r\n', want: /^221 / }])
  const octets = turns.flat().reduce((sum, step) => sum + step.text.length, 0)
  return {
    turns,
    leavesAt: random.chance(0.25) ? random.below(octets + 1) : Number.POSITIVE_INFINITY,
    leaving: random.pick(['cut', 'cut', 'end', 'silent']),
    isBlind: style === 'blind',
    isNoise: style === 'noise',
  }
}

const hellos = ['EHLO client.example\r\n', 'EHLO client.example\r\n', 'HELO client.example\r\n']

const domains = ['protected.example', 'protected.example', 'protected.example', 'a.sub.example']

/** A letter's commands and octets, behind RSET. */
function letterSteps(place: ScriptPlace): Step[] {
  const { random } = place
  const number = place.newNumber()
  const body = random.pick(bodies)
  const recipients: string[] = []
  const sender = `s${number}@client.example`
  const mustNotPass = isForbidden(place, body)
  const sentOctets = withNumber(body.sent, number)
  const isChunked = body.isChunkable === true && random.chance(0.2)
  const octets = mustNotPass ? undefined : withNumber(body.normalised ?? body.sent, number)
  const letter: Letter = { sender, recipients, octets }
  const size = random.chance(0.1) ? ` SIZE=${random.pick([100, 1_000_000])}` : ''
  const mail = `MAIL FROM:<${sender}>${place.keywords.includes('SIZE') ? size : ''}\r\n`
  const steps: Step[] = [{ ...rset }, { kind: 'mail', text: mail, letter }]
  const count = 1 + random.below(4)
  for (let at = 0; at < count; at++) {
    const local = random.pick([`r${number}-${at}`, `r${number}-${at}`, `nobody${number}-${at}`])
    const domain = random.chance(0.1) ? 'outside.example' : random.pick(domains)
    const address = `${local}@${domain}`
    recipients.push(address)
    steps.push({ kind: 'rcpt', text: `RCPT TO:<${address}>\r\n`, letter, address })
  }
  if (random.chance(0.08)) return steps
  if (isChunked && place.keywords.includes('CHUNKING')) {
    steps.push(...chunkSteps(random, letter, sentOctets))
    return steps
  }
  steps.push({ kind: 'data', text: 'DATA\r\n', letter })
  steps.push({ kind: 'body', text: `${sentOctets}.\r\n`, letter })
  return steps
}

function chunkSteps(random: Random, letter: Letter, octets: string): Step[] {
  // By chance octet by octet, up to a point.
  const tiny = random.chance(0.2) ? 1 + random.below(Math.min(40, octets.length - 1)) : 0
  const cut = tiny + random.below(octets.length - tiny)
  const step = (part: string, isLast: boolean): Step => {
    const text = `BDAT ${part.length}${isLast ? ' LAST' : ''}\r\n${part}`
    return { kind: 'chunk', text, letter, isLast }
  }
  const first = [...octets.slice(0, tiny)].map((octet) => step(octet, false))
  return [...first, step(octets.slice(tiny, cut), false), step(octets.slice(cut), true)]
}

/** Everything up to DATA in one group (RFC 2920), the body in the next. */
function groupsOf(steps: readonly Step[]): Step[][] {
  const groups: Step[][] = [[]]
  for (const step of steps) {
    if (step.kind === 'body') groups.push([])
    groups.at(-1)?.push(step)
    if (step.kind === 'data' || step.kind === 'body') groups.push([])
  }
  return groups
}

/** Must the mailhost never get it, whatever happens? */
function isForbidden({ policy, isTrusted }: ScriptPlace, body: Body): boolean {
  if (policy.stray === 'refuse' && body.normalised !== undefined) return true
  const { sizeOctetsMax, headers, hasTrustedNames } = policy
  if (sizeOctetsMax > 0 && body.sent.length > sizeOctetsMax) return true
  const isFiltered = headers.mode === 'enforce' && !isTrusted && !hasTrustedNames
  return body.isBad === true && isFiltered
}

/** The first line bears the letter's number, so that no two letters look alike. */
function withNumber(octets: string, number: number): string {
  return octets === '' ? '' : `X-Letter: ${number}\r\n${octets}`
}

function shuffled<T>(random: Random, items: readonly T[]): T[] {
  const rest = [...items]
  const result: T[] = []
  while (rest.length > 0) result.push(...rest.splice(random.below(rest.length), 1))
  return result
}
