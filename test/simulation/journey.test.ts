/**
 * Simulation: whole connections from a seed, with hostile and honest clients, a mailhost and a
 * probe broker that take their time, refuse, fall silent, and a connection that breaks anywhere.
 *
 * What holds for every one: each MAIL that was taken is concluded exactly once; a message that the
 * client was told 250 for was delivered, once, and nothing else was; no stray octet reached the
 * mailhost; replies are as many as commands; no limit is passed.
 */
import { expect, test } from 'vitest'
import type { Finding } from '../../src/checks/finding.ts'
import type { JourneyPolicy, TestMode } from '../../src/journey/policy.ts'
import { plainMessage, World, type WorldOptions } from '../journey/world.ts'
import { Random } from '../support/random.ts'

const connections = 10_000
const firstSeed = Number(process.env.ACTIVEMX_SEED ?? 20_261_121)

test(`10,000 connections from seed ${firstSeed}: every transaction concludes exactly once (B24)`, () => {
  let transactions = 0
  let delivered = 0
  for (let i = 0; i < connections; i++) {
    const world = simulate(firstSeed + i)
    transactions += world.verdicts.length
    delivered += world.delivered.length
  }
  // The mixture reaches both ends: many delivered, many refused or dropped.
  expect(delivered).toBeGreaterThan(connections / 30)
  expect(transactions - delivered).toBeGreaterThan(connections / 10)
}, 240_000)

function simulate(seed: number): World {
  const random = new Random(seed)
  const world = new World(optionsOf(random))
  const told: string[] = []
  let accepted = 0
  try {
    const steps = 3 + random.below(14)
    for (let step = 0; step < steps && !world.isClosed; step++) {
      act(random, world)
      told.push(...world.take().split('\r\n'))
      if (world.isClosed) break
    }
    if (random.chance(0.3)) world.lose()
    else if (!world.isClosed) world.send('\r\n.\r\nQUIT\r\n').rest()
    world.passes(700_000)
    world.rest()
    if (!world.isClosed) world.lose()
    told.push(...world.take().split('\r\n'))
    accepted = told.filter((line) => line.startsWith('250 2.0.0 queued')).length
    checkLedger(world, told, accepted)
  } catch (error) {
    throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    })
  }
  return world
}

function checkLedger(world: World, told: readonly string[], accepted: number): void {
  const ids = world.verdicts.map((verdict) => verdict.id)
  expect(new Set(ids).size, 'one record for each id').toBe(ids.length)
  const mails = told.filter((line) => line.startsWith('250 2.1.0')).length
  const inside = world.verdicts.filter((verdict) => verdict.recipients.length > 0).length
  expect(world.verdicts.length).toBeGreaterThanOrEqual(mails)
  expect(inside).toBeLessThanOrEqual(Math.max(mails, world.verdicts.length))
  expect(world.verdicts.some((verdict) => verdict.finding === 'internal-error')).toBe(false)
  const passed = world.verdicts.filter(({ reply }) => reply.startsWith('250 2.0.0 queued')).length
  expect(passed, 'a verdict passes what the client was told 250 for').toBe(accepted)
  expect(world.delivered.length, 'no false 250').toBeGreaterThanOrEqual(accepted)
  expect(world.bodySent).not.toMatch(/\r(?!\n)(?!$)|(?<!\r)\n|\0/)
  for (const { octets } of world.delivered) expect(octets).not.toMatch(/(^|\r\n)\.\r\n/)
}

const commands = [
  'EHLO client.example\r\n',
  'HELO client.example\r\n',
  'MAIL FROM:<a@client.example>\r\n',
  'MAIL FROM:<> BODY=8BITMIME\r\n',
  'RCPT TO:<victim@protected.example>\r\n',
  'RCPT TO:<postmaster>\r\n',
  'RCPT TO:<x@outside.example>\r\n',
  'RCPT TO:<refused@protected.example>\r\n',
  'RCPT TO:<broken\0@protected.example>\r\n',
  'DATA\r\n',
  'RSET\r\n',
  'NOOP\r\n',
  'QUIT\r\n',
  'BDAT 5\r\nab\r\n\r\n',
  'BDAT 12 LAST\r\nSubject: x\r\n',
  'BDAT x\r\n',
  'XYZZY\r\n',
  `NOOP ${'x'.repeat(2100)}\r\n`,
]

const envelope =
  'EHLO client.example\r\nMAIL FROM:<a@client.example>\r\nRCPT TO:<victim@protected.example>\r\n'

const bodies = [
  `${plainMessage}.\r\n`,
  `${plainMessage}..stuffed\r\n.\r\n`,
  'Subject: x\r\n\r\nbare\nnewline\r\n.\r\n',
  'Subject: x\r\n\r\nbare\rreturn\n.\r\nMAIL FROM:<evil@x.example>\r\n.\r\n',
  `Subject: bad\r\n\r\n${'line\r\n'.repeat(400)}.\r\n`,
  `Subject: big\r\n\r\n${'line of text\r\n'.repeat(1000)}.\r\n`,
  '.\r\n',
]

function act(random: Random, world: World): void {
  const choice = random.below(10)
  const text =
    choice < 3
      ? random.pick(commands)
      : choice < 6
        ? `${envelope}DATA\r\n${random.pick(bodies)}`
        : choice === 6
          ? envelope
          : choice === 7
            ? random.pick(bodies)
            : ''
  if (text === '') world.passes(random.pick([1, 50, 500, 5000, 70_000]))
  const pieces = random.chance(0.5) ? [text] : random.pieces(text)
  for (const piece of pieces) {
    if (world.isClosed) return
    if (piece !== '') world.send(piece)
    if (random.chance(0.02)) world.passes(random.below(400))
    if (random.chance(0.001)) world.journey.onLinkLost(world.nowMs)
    if (random.chance(0.002)) return
  }
  if (random.chance(0.02) && !world.isClosed) world.end()
  if (random.chance(0.01)) world.journey.onShutdown(world.nowMs)
}

function optionsOf(random: Random): WorldOptions {
  const mode = (): TestMode => random.pick(['off', 'off', 'observe', 'tempfail', 'enforce'])
  const indeterminate = random.pick(['pass', 'tempfail'] as const)
  const policy: Partial<JourneyPolicy> = {
    hasTrustedNames: random.chance(0.3),
    testsAt: random.pick(['mail', 'rcpt', 'data']),
    dialup: { mode: mode(), indeterminate },
    relay: { mode: mode(), indeterminate },
    user: { mode: mode(), indeterminate },
    headers: {
      mode: mode(),
      indeterminate,
      rules: 'Subject: /bad/ refuse',
      rulesFile: 'rules',
      checks: ['missing-from'],
      receivedMax: 100,
    },
    illegalPipelining: random.pick(['off', 'observe', 'observe', 'tempfail', 'enforce']),
    stray: random.pick(['refuse', 'normalise']),
    sizeOctetsMax: random.pick([0, 3000, 50_000]),
  }
  return {
    policy,
    client: { isTrusted: random.chance(0.1), verdictClass: random.chance(0.1) ? 1 : 0 },
    recipientReply: (to) => (to.startsWith('<refused') ? '550 5.1.1 no' : '250 2.1.5 ok'),
    dataReply: () => random.pick(['354 go', '354 go', '354 go', '354 go', '451 4.3.0 no', '250 ?']),
    deliveryReply: () =>
      random.pick([
        '250 2.0.0 queued',
        '250 2.0.0 queued',
        '250 2.0.0 queued',
        '550 5.7.1 no',
        '452 4.3.1 full',
        '421 4.3.2 bye',
      ]),
    mailhostMs: () => random.pick([0, 0, 1, 40, 700_000]),
    examineMs: () => random.pick([0, 5, 900, 200_000]),
    examine: () => findingsOf(random),
    isProvisional: random.chance(0.1),
    isTrustedName: random.chance(0.2),
    whitelist: random.chance(0.1) ? ['a@client.example'] : [],
    isSlowMailhost: () => random.chance(0.2),
    isSlowClient: () => random.chance(0.05),
  }
}

function findingsOf(random: Random): Finding[] | 'never' {
  if (random.chance(0.1)) return 'never'
  const layers = ['dialup', 'relay', 'user'] as const
  return layers.map((layer) => {
    const outcome = random.pick(['positive', 'negative', 'negative', 'indeterminate'] as const)
    return { layer, outcome, name: `${layer}-found`, evidence: ['seen'] }
  })
}
