/**
 * kill -9 of the proxy or the mailhost at random under load: nothing acknowledged is lost, nothing
 * arrives cut, nothing twice but where the answer to a final dot was lost (RFC 1047). Promise 1;
 * Show 4 of the main job.
 *
 * The proxy runs as a program before a Postfix of the tests' own. Clients send numbered messages
 * and note what they were told of each, killers kill and start again; in the end every acknowledged
 * message must be filed, whole, and taken by Postfix no oftener than its client may have caused.
 * `ACTIVEMX_KILL_MESSAGES` sets the count (100,000 by `npm run test:kills`).
 */
import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { describeWith, needsProgram, needsRoot } from '../support/needs.ts'
import { type Postfix, startPostfix } from '../support/postfix.ts'
import { ProxyProgram } from '../support/proxy-program.ts'
import { Random } from '../support/random.ts'
import { SmtpClient } from '../support/smtp-client.ts'

const messages = Number(process.env['ACTIVEMX_KILL_MESSAGES'] ?? 10_000)
const clients = 20
/** Each puts some messages in doubt, about one for every ten clients. */
const killsMax = Math.max(10, messages / 2_000)
/** Promise 10. Judged in the full run, which has the machine to itself. */
const readyMsMax = 2_000
const isFull = messages >= 100_000

describeWith([needsProgram('postfix'), needsRoot()], 'kill -9 under load', () => {
  test(`${messages} messages: none acknowledged and lost, none cut, none twice without a doubt`, {
    timeout: 3_600_000,
  }, async () => {
    // No log of its own: postlogd may wait for itself for ever when it is started after a kill.
    const postfix = await startPostfix(['maillog_file ='])
    const proxy = await ProxyProgram.start(postfix.port, { listen: 'workers = 2' })
    const ledger = new Ledger()
    try {
      let next = 0
      const take = () => (next < messages ? next++ : undefined)
      const senders = Array.from({ length: clients }, () => sendAll(proxy.port, take, ledger))
      const { kills, slowestMs } = await killAtRandom(proxy, postfix, () => next)
      await Promise.all(senders)
      expect(kills).toBeGreaterThan(0)
      await judge(postfix, ledger)
      console.log(`the proxy serves again ${Math.round(slowestMs)} ms after a kill at the most`)
      if (isFull) expect(slowestMs).toBeLessThanOrEqual(readyMsMax)
    } finally {
      await proxy.end()
      postfix.remove()
    }
  })
})

/** What the clients were told. */
class Ledger {
  readonly acknowledged = new Set<number>()
  /** Attempts whose final dot was sent and not answered by 250: the mailhost may have them. */
  readonly doubtful = new Map<number, number>()

  doubt(number: number): void {
    this.doubtful.set(number, (this.doubtful.get(number) ?? 0) + 1)
  }
}

/** Every acknowledged number is filed, no message is cut, none is taken twice without a doubt. */
async function judge(postfix: Postfix, ledger: Ledger): Promise<void> {
  let taken = takenOf(postfix)
  const lost = () => {
    taken = takenOf(postfix)
    return [...ledger.acknowledged].filter((number) => !taken.has(number))
  }
  await expect.poll(lost, { timeout: 300_000, interval: 2_000 }).toEqual([])
  expect(
    postfix
      .messages()
      .filter((text) => !isWhole(text))
      .map(numberOf),
  ).toEqual([])
  const unexplained = [...taken].filter(([number, ids]) => {
    const acknowledgedOnce = ledger.acknowledged.has(number) ? 1 : 0
    return ids.size > acknowledgedOnce + (ledger.doubtful.get(number) ?? 0)
  })
  expect(unexplained).toEqual([])
  const twice = [...taken.values()].filter((ids) => ids.size > 1).length
  console.log(`${messages} messages: ${ledger.doubtful.size} in doubt, ${twice} taken twice`)
}

/** Queue ids by number: what Postfix files again after a kill of its own keeps its id. */
function takenOf(postfix: Postfix): Map<number, Set<string>> {
  const taken = new Map<number, Set<string>>()
  for (const text of postfix.messages()) {
    const number = numberOf(text)
    const id = /\(Postfix\) with E?SMTP id (\w+)/.exec(text)?.[1] ?? ''
    taken.set(number, (taken.get(number) ?? new Set()).add(id))
  }
  return taken
}

function numberOf(text: string): number {
  return Number(/^X-Number: (\d+)/m.exec(text)?.[1])
}

/** Octet by octet what was sent, from its first field on; fields above are Postfix's and ours. */
function isWhole(text: string): boolean {
  const filed = text.slice(text.search(/^X-Number: /m))
  return digestOf(filed) === digestOf(messageOf(numberOf(text)).replaceAll('\r\n', '\n'))
}

function digestOf(text: string): string {
  return createHash('sha256').update(text, 'latin1').digest('hex')
}

/**
 * The message of a number: up to 30 KB in one of 400, else up to 3 KB, of octets that differ from
 * line to line and from message to message. Some lines begin with a dot.
 */
function messageOf(number: number): string {
  const random = new Random(number)
  const lines = number % 400 === 0 ? 400 : number % 40
  const body = Array.from({ length: lines }, (_, at) => {
    const dot = random.chance(0.1) ? '.' : ''
    return `${dot}${at} ${String(random.next()).padEnd(60, String(number))}\r\n`
  })
  return `X-Number: ${number}\r\n\r\n${body.join('')}end of message ${number}\r\n`
}

/** Sends numbers until there are no more; each until it is acknowledged. */
async function sendAll(
  port: number,
  take: () => number | undefined,
  ledger: Ledger,
): Promise<void> {
  for (let number = take(); number !== undefined; number = take()) {
    while (!(await sendOne(port, number, ledger))) await sleep(20)
    ledger.acknowledged.add(number)
  }
}

/** True when the message was acknowledged. */
async function sendOne(port: number, number: number, ledger: Ledger): Promise<boolean> {
  let isDotSent = false
  let isAcknowledged = false
  try {
    const client = await SmtpClient.open(port)
    const said = await client.saysAll(
      'EHLO client.example',
      `MAIL FROM:<${number}@x.example>`,
      'RCPT TO:<b@example.test>',
      'DATA',
    )
    if (said.startsWith('354')) {
      isDotSent = true
      const stuffed = messageOf(number).replaceAll(/^\./gm, '..')
      isAcknowledged = (await client.says(`${stuffed}.`)).startsWith('250')
    }
    client.leave()
  } catch {
    // Killed in between: nothing was acknowledged.
  }
  if (isDotSent && !isAcknowledged) ledger.doubt(number)
  return isAcknowledged
}

/**
 * Kills one of the two now and then, evenly over the load. @returns how often, and how long the
 * proxy took at most from its kill to the greeting of the next, milliseconds.
 */
async function killAtRandom(
  proxy: ProxyProgram,
  postfix: Postfix,
  taken: () => number,
): Promise<{ readonly kills: number; readonly slowestMs: number }> {
  const random = new Random(2026)
  const apart = messages / killsMax
  let kills = 0
  let slowestMs = 0
  for (; kills < killsMax; kills++) {
    const at = kills * apart + random.below(Math.ceil(apart))
    while (taken() < at) await sleep(20)
    if (random.below(4) === 0) {
      postfix.kill()
      await postfix.start()
      continue
    }
    const killedAtMs = performance.now()
    await proxy.killAndStart()
    slowestMs = Math.max(slowestMs, performance.now() - killedAtMs)
  }
  return { kills, slowestMs }
}
