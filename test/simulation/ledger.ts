/**
 * The ledger: compares three independent accounts of a world (what the proxy wrote to its clients,
 * what the mailhosts hold, what the log says) and finds every contradiction.
 *
 * - Replies: one for each step, in the order of the steps, none before its step.
 * - Messages: each 250 at an end of data names one message that a mailhost holds, with the octets
 *   and the recipients of that very letter; a mailhost holds no other, but for those whose answer
 *   the proxy never got or whose client had gone before it came (RFC 1047).
 * - Records: each MAIL that was taken has one verdict record, which says what the client was told.
 */
import assert from 'node:assert/strict'
import type { VerdictRecord } from '../../src/journey/record.ts'
import { type Letter, repliesIn, type SimulatedClient, type Step } from './client.ts'
import type { DotAnswer } from './mailhost.ts'
import type { SimulatedWorld } from './world.ts'

/** What a world came to. */
export interface Sums {
  letters: number
  accepted: number
  refused: number
  tempfailed: number
  aborted: number
  /** Held by a mailhost without a 250 of the proxy, as RFC 1047 permits. */
  unheard: number
}

/** Judges a world that has come to its end. */
export function checkLedger(world: SimulatedWorld, sums: Sums): void {
  const told = new Map(world.clients.map((client) => [client, repliesByStep(client)]))
  const recordsBySender = groupRecords(world)
  for (const client of world.clients) {
    checkConnection(world, client)
    for (const letter of lettersOf(client)) {
      const steps = told.get(client) ?? new Map()
      const records = recordsBySender.get(letter.sender) ?? []
      const outcome = outcomeOf(letter, client, steps)
      checkRecord(letter, outcome, records)
      checkAnswers(world, client, letter, outcome, sums)
      count(sums, records)
    }
  }
  checkTokens(world)
}

/** What the client was told of one letter. */
interface Outcome {
  readonly isMailTaken: boolean
  /** The reply to its end of data, '' for none. */
  readonly final: string
  /** Recipients that were answered 250, in order. */
  readonly recipients: readonly string[]
  /** Some of its steps have no reply by which to know: the client is blind or noisy. */
  readonly isUnsure: boolean
  /** Steps and replies, for a failure's message. */
  readonly dialogue: string
}

/** Replies in the order of the steps; fails where one does not fit its step. */
function repliesByStep(client: SimulatedClient): Map<Step, string> {
  const { asked, script, wire } = client
  const replies = repliesIn(wire.written)
  assert(replies.join('') === wire.written, `whole replies: ${JSON.stringify(wire.written)}`)
  const byStep = new Map<Step, string>()
  for (const [at, reply] of replies.entries()) {
    const step = asked[at]
    const isLast = at === replies.length - 1
    // The refused MAIL of a noisy client may be that of any letter.
    const isOther = script.isNoise && step?.kind === 'rcpt' && /^[45]/.test(reply)
    if (step === undefined || !(isOther || fits(step, reply))) {
      assert(isLast && isFarewell(reply), `reply ${at} fits its step${dialogueOf(client)}`)
      break
    }
    const sentAt = client.wholeAt.get(step) ?? 0
    const isAsked = sentAt - step.text.length < wire.arrived
    // Unasked: the drain between two transactions, or behind the reply to one error too many.
    if (isLast && isFarewell(reply) && !isAsked) break
    assert(
      isAsked,
      `no reply before its step: ${reply} ${sentAt} ${wire.arrived}${dialogueOf(client)}`,
    )
    byStep.set(step, reply)
    // Its body is read as commands from here on.
    if (script.isBlind && step.kind === 'data' && !reply.startsWith('354')) return byStep
  }
  assert(replies.length <= asked.length + 1, 'no reply too many')
  return byStep
}

/** Steps and replies side by side, for a failure's message. */
function dialogueOf({ asked, wire }: SimulatedClient): string {
  const replies = repliesIn(wire.written)
  const line = (text = '') => JSON.stringify(text.slice(0, 80))
  return asked.map((step, at) => `\n  ${line(step.text)} ${line(replies[at])}`).join('')
}

function isFarewell(reply: string): boolean {
  const own = /^5\d\d 5\.\d\.\d protocol: (commands sent ahead|BDAT is not offered|chunk larger)/
  return reply.startsWith('421 ') || own.test(reply)
}

function fits(step: Step, reply: string): boolean {
  const isRefusal = /^[45]\d\d /.test(reply)
  switch (step.kind) {
    case 'hello':
      return /^250[- ]/.test(reply)
    case 'mail':
      return /^250 2\.1\.0 sender ok\r/.test(reply) || isRefusal
    case 'rcpt':
      return fitsRecipient(step, reply, isRefusal)
    case 'data':
      return reply.startsWith('354 ') || isRefusal
    case 'body':
      return reply.includes('queued as') || isRefusal
    case 'chunk':
      if (step.isLast === true) return reply.includes('queued as') || isRefusal
      return /^250 2\.0\.0 \d+ octets received\r/.test(reply) || isRefusal
    default:
      return step.want?.test(reply) === true
  }
}

/** A mailhost names in its replies what it answers. */
function fitsRecipient({ address = '', letter }: Step, reply: string, isRefusal: boolean): boolean {
  if (reply.startsWith('250 ')) return reply.includes(`<${address}>`)
  const named = /<([^>]*)>/.exec(reply)?.[1]
  // A farewell ends the session with all that it owes.
  const isOfLetter = letter?.recipients.includes(named ?? '') === true && reply.startsWith('451')
  return (
    isRefusal &&
    (named === undefined || named === address || named === letter?.sender || isOfLetter)
  )
}

function lettersOf(client: SimulatedClient): readonly Letter[] {
  const letters = client.script.turns.flat().map((step) => step.letter)
  return [...new Set(letters)].filter((letter) => letter !== undefined)
}

function outcomeOf(
  letter: Letter,
  client: SimulatedClient,
  replies: ReadonlyMap<Step, string>,
): Outcome {
  let isMailTaken = false
  let final = ''
  const recipients: string[] = []
  let isOpen = false
  for (const [step, reply] of replies) {
    if (step.kind === 'mail') isOpen = step.letter === letter && reply.startsWith('250')
    if (step.kind === 'data' || step.text.startsWith('RSET')) isOpen = false
    // How long the chunk is nobody knows: the message ends with the refusal.
    if (isOpen && step.text.startsWith('BDAT x') && final === '') final = reply
    if (step.letter !== letter) continue
    if (step.kind === 'mail') isMailTaken = reply.startsWith('250')
    if (step.kind === 'rcpt' && reply.startsWith('250')) recipients.push(step.address ?? '')
    const isEnd = step.kind === 'body' || step.isLast === true
    // The first chunk that is refused ends the message; those behind it belong to nothing.
    const isRefused = step.kind === 'chunk' && !reply.startsWith('250')
    if (final === '' && (isEnd || isRefused)) final = reply
  }
  const { isBlind, isNoise } = client.script
  const hasAll = client.asked.every((step) => step.letter !== letter || replies.has(step))
  const isUnsure = isNoise || (isBlind && !hasAll)
  return { isMailTaken, final, recipients, isUnsure, dialogue: dialogueOf(client) }
}

function groupRecords(world: SimulatedWorld): Map<string, VerdictRecord[]> {
  const ids = world.verdicts.map(({ id }) => id)
  assert(new Set(ids).size === ids.length, 'one record for each id')
  const bySender = new Map<string, VerdictRecord[]>()
  for (const record of world.verdicts) {
    assert(record.finding !== 'internal-error', `no bug of ours: ${record.evidence}`)
    const records = bySender.get(record.sender) ?? []
    records.push(record)
    bySender.set(record.sender, records)
  }
  return bySender
}

/** A connection that is turned away before its first transaction has a record of its own. */
function checkConnection(world: SimulatedWorld, client: SimulatedClient): void {
  const port = client.wire.peer?.port
  const records = world.verdicts.filter((record) => record.port === port)
  const ofConnection = records.filter(({ sender }) => sender === '')
  const last = repliesIn(client.wire.written).at(-1) ?? ''
  const isTurnedAway = isFarewell(last) && !last.startsWith('421 4.3.2')
  const want = isTurnedAway && records.length === ofConnection.length ? 1 : 0
  assert(ofConnection.length === want, `${want} record of the connection, closed with ${last}`)
}

/** Exactly one record, and it says what the client was told. */
function checkRecord(
  { sender }: Letter,
  { isMailTaken, final, isUnsure, dialogue }: Outcome,
  records: readonly VerdictRecord[],
): void {
  assert(records.length <= 1, `one record at the most of ${sender}`)
  const [record] = records
  if (isMailTaken) assert(record !== undefined, `a record of ${sender}${dialogue}`)
  if (record === undefined) {
    assert(isUnsure || !final.includes('queued as'), `no 250 without a record: ${sender}`)
    return
  }
  const isPassed = record.action === 'pass' || record.action === 'observe'
  // Of a message that broke off the record keeps the mailhost's refusal of a recipient as reply.
  const isOurs = record.mailhostReply === '' && record.finding !== 'mailhost-refused'
  const isOurRefusal = !isPassed && record.reply !== '' && isOurs
  if (isOurRefusal) assert(record.reply.endsWith(`, id=${record.id}`), `an id in ${record.reply}`)
  if (isUnsure) return
  const told = `${sender}: ${record.action} ${record.reply}, told ${final}${dialogue}`
  assert(isPassed === final.includes('queued as'), told)
  if (isPassed) assert(record.reply === final.trimEnd(), `${record.reply} is ${final}`)
  if (!isMailTaken || final === '' || isPassed || /^5(03|54 5\.5\.1)/.test(final)) return
  assert(record.action === (final.startsWith('4') ? 'tempfail' : 'refuse'), told)
  assert(record.reply === final.trimEnd(), told)
}

/** What the mailhosts answered to this letter, against what the client was told. */
function checkAnswers(
  world: SimulatedWorld,
  client: SimulatedClient,
  letter: Letter,
  outcome: Outcome,
  sums: Sums,
): void {
  const answers = world.answers().filter(({ sender }) => sender === letter.sender)
  assert(answers.length <= 1, `no final dot twice: ${letter.sender}`)
  const [answer] = answers
  if (answer === undefined) return
  const { wire, script } = client
  if (script.isNoise) {
    const letters = lettersOf(client)
    // Chunks in any order make messages of their own.
    const hasChunks = client.asked.some(({ kind }) => kind === 'chunk')
    const octets = withoutReceived(answer.octets)
    const isKnown = hasChunks || letters.some((known) => known.octets === octets)
    assert(isKnown, `octets of a letter of this client: ${letter.sender}`)
  } else {
    assert(letter.octets !== undefined, `${letter.sender} must never pass`)
    assert(withoutReceived(answer.octets) === letter.octets, `octets of ${letter.sender}`)
    const took = outcome.isUnsure ? letter.recipients : outcome.recipients
    const isSame = answer.recipients.join() === took.join()
    const isSome = answer.recipients.every((recipient) => took.includes(recipient))
    const isRight = outcome.isUnsure ? isSome : isSame
    assert(isRight, `${letter.sender}: mailhost has ${answer.recipients}${outcome.dialogue}`)
  }
  const isHeard = answer.heardAt > 0 && (wire.overAt === 0 || answer.heardAt < wire.overAt)
  const told = repliesIn(wire.written).filter((reply) => reply.includes(answer.token))
  assert(told.length <= 1, `told once: ${answer.token}`)
  if (!isHeard) {
    if (answer.isStored && told.length === 0) sums.unheard++
    return
  }
  checkTold(answer, told[0]?.split('\r\n').at(-2) ?? '', outcome.final)
}

/** The answer that the proxy heard in time is the client's, unchanged in class and code. */
function checkTold({ answer, token, isStored }: DotAnswer, told: string, final: string): void {
  if (answer.startsWith('HTTP')) {
    assert(final === '' || final.startsWith('451'), `nonsense is a doubt: ${final}`)
    return
  }
  const want = answer.startsWith('421') ? answer.replace('421', '451') : answer
  assert(told === want, `${token}: told ${told}, answered ${answer}`)
  assert(isStored === told.startsWith('250'), `${token}: 250 is for what is held`)
}

/** Each 250 at an end of data names a message that a mailhost holds. */
function checkTokens(world: SimulatedWorld): void {
  const held = new Map(world.answers().map((answer) => [answer.token, answer]))
  for (const { wire } of world.clients) {
    for (const [, token = ''] of wire.written.matchAll(/queued as (\S+)/g)) {
      const answer = held.get(token)
      assert(answer?.isStored === true, `${token} is held by a mailhost`)
      const client = world.clientOf(answer.sender)?.client
      assert(client?.wire === wire, `${token} is told to its own client`)
      const records = world.verdicts.filter(({ reply }) => reply.endsWith(` ${token}`))
      const [record] = records
      assert(records.length === 1 && record?.sender === answer.sender, `${token} has its record`)
      held.delete(token)
    }
  }
}

function withoutReceived(octets: string): string {
  return octets.replace(/^Received: [^\n]*\n(?:\t[^\n]*\n)*/, '')
}

function count(sums: Sums, [record]: readonly VerdictRecord[]): void {
  sums.letters++
  if (record === undefined) return
  if (record.action === 'pass' || record.action === 'observe') sums.accepted++
  else if (record.action === 'refuse') sums.refused++
  else if (record.action === 'tempfail') sums.tempfailed++
  else sums.aborted++
}
