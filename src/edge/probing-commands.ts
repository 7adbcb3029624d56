/**
 * What the control socket may ask of the active tests: `probes`, `cache` and `probe`.
 *
 * Each handler takes the command's arguments as plain values and answers with plain values; what it
 * throws is an OperatingError that names the remedy.
 */
import { OperatingError } from '../base/errors.ts'
import { newPrefixCell, parseAddress } from '../base/ip-address.ts'
import { cacheEntriesShownMax } from '../base/limits.ts'
import { mailboxOf } from '../checks/sender-key.ts'
import type { ProbeBroker } from '../probes/broker.ts'
import type { TestResult } from '../probes/tools.ts'
import type { ListService } from './list-service.ts'
import type { Probing } from './probing.ts'

/** A handler of the control socket. */
export type ProbingCommand = (given: Readonly<Record<string, unknown>>) => unknown

/** The commands, by name. */
export function probingCommands(probing: Probing): Readonly<Record<string, ProbingCommand>> {
  return {
    probes: ({ action }) => switchProbes(probing, action),
    cache: ({ action, key }) => serveCache(probing, action, typeof key === 'string' ? key : ''),
    probe: ({ subject, test }) =>
      askBroker(probing.broker, probing.lists, String(subject), String(test ?? '')),
  }
}

/**
 * Asks a broker about an address or a sender. @param test `relay`, `dialup`, `user`; '' = what
 * fits. A database of relay or dialup hosts that holds the address is told first: without `test` it
 * keeps that test from being made. Throws OperatingError for what is neither, and for a test that
 * does not fit.
 */
export async function askBroker(
  broker: ProbeBroker,
  lists: Pick<ListService, 'holdingsOf'>,
  subject: string,
  test: string,
): Promise<TestResult> {
  const isAddress = parseAddress(subject, newPrefixCell()) === ''
  const mailbox = isAddress ? undefined : mailboxOf(subject)
  if (!isAddress && mailbox === undefined) {
    throw new OperatingError('USAGE', `${subject}: write an IP address or local@domain`)
  }
  if (test !== '' && isAddress === (test === 'user')) {
    const remedy = isAddress ? 'user asks about a sender' : `${test} asks about an IP address`
    throw new OperatingError('USAGE', `probe ${subject} --test ${test}: ${remedy}`)
  }
  if (mailbox !== undefined) return broker.askUser(mailbox)
  const only = test === 'relay' || test === 'dialup' ? test : undefined
  const result = await broker.askHost(subject, only)
  return { ...result, dialogue: [...exemptionsOf(lists, subject), ...result.dialogue] }
}

function exemptionsOf(lists: Pick<ListService, 'holdingsOf'>, address: string): readonly string[] {
  return lists
    .holdingsOf(address)
    .filter(({ kind }) => kind === 'relay' || kind === 'dialup')
    .map(({ kind, list, file, line }) => `the ${kind} test skips it: list ${list}, ${file}:${line}`)
}

function switchProbes({ broker }: Probing, action: unknown): unknown {
  if (action !== 'on' && action !== 'off') throw new OperatingError('USAGE', 'probes: on or off')
  broker.switch(action === 'on')
  return { probes: action, inFlight: broker.inFlight }
}

function serveCache({ cache }: Probing, action: unknown, key: string): unknown {
  if (action === 'show') {
    const entries = cache.entries(key, Date.now(), cacheEntriesShownMax)
    // What only says since when findings count answers nothing.
    return entries.filter(([, { finding, fact }]) => (finding ?? fact) !== undefined)
  }
  if (action === 'flush') return cache.flush(key).then((flushed) => ({ flushed }))
  throw new OperatingError('USAGE', 'cache: show or flush')
}
