/**
 * Active dialup: is the remote host one of a pool? By its name, the way back, and its neighbours.
 *
 * A sign in the name is enough. A name without one clears the host only where it leads back to the
 * address; then its neighbours are looked at: names of one shape all along are a pool too. Of
 * several names, which resolvers tell in any order, one without a sign speaks for the host: a pool
 * has none such, and none that its neighbours do not share. Whatever the DNS does wrong proves
 * nothing: neither that there is no name, nor that there is no pool.
 */
import { formatIpv4, newPrefixCell, parseAddress } from '../base/ip-address.ts'
import { namesAskedBackMax } from '../base/limits.ts'
import { readHostName, sharesShape } from '../checks/dialup-name.ts'
import type { Finding, Outcome } from '../checks/finding.ts'
import { makeFinding, type ProbeTools, type TestResult } from './tools.ts'

/** Tests an address whose reverse connection was not made, for the reason given. */
export async function testDialup(
  address: string,
  reason: string,
  tools: ProbeTools,
): Promise<Omit<TestResult, 'target'>> {
  const facts = [`reverse connection ${reason}`]
  const finding = await judgeName(address, facts, tools)
  return { finding, dialogue: finding.evidence }
}

async function judgeName(address: string, facts: string[], tools: ProbeTools): Promise<Finding> {
  const conclude = (outcome: Outcome, name: string): Finding =>
    makeFinding('dialup', outcome, name, facts)
  const answer = await tools.names.names(address)
  if (answer.kind === 'trouble') {
    facts.push(`PTR: ${answer.reason}`)
    return conclude('indeterminate', 'dns-trouble')
  }
  if (answer.kind !== 'found') {
    facts.push('no PTR')
    return conclude(tools.settings.noPtr === 'dialup' ? 'positive' : 'indeterminate', 'no-name')
  }
  const names = withoutSign(answer.records.toSorted(), address, facts, tools)
  if (names.length === 0) return conclude('positive', 'pool-name')
  const asked = names.slice(0, namesAskedBackMax)
  const back = await Promise.all(asked.map((name) => wayBack(name, address, tools)))
  facts.push(...back.map(({ fact }) => fact))
  const { alike, isPool, isInTrouble } = await lookAtNeighbours(names, address, tools)
  if (isPool) {
    facts.push(`neighbours alike: ${alike.join(' ')}`)
    return conclude('positive', 'pool-neighbours')
  }
  if (isInTrouble) {
    facts.push('PTR of neighbours: no answer')
    return conclude('indeterminate', 'dns-trouble')
  }
  const isConfirmed = back.some((way) => way.isConfirmed)
  return isConfirmed ? conclude('negative', 'no-pool') : conclude('indeterminate', 'name-unproved')
}

/** The names that show no sign of a pool; each name and each sign becomes a fact. */
function withoutSign(
  names: readonly string[],
  address: string,
  facts: string[],
  tools: ProbeTools,
): readonly string[] {
  return names.filter((name) => {
    const sign = signOf(name, address, tools)
    facts.push(`PTR ${name}`, ...(sign === '' ? [] : [sign]))
    return sign === ''
  })
}

/** The sign of a pool in the name, '' for none. */
function signOf(name: string, address: string, tools: ProbeTools): string {
  const line = tools.patterns.lineOf(name)
  if (line > 0) return `pattern of line ${line}`
  const reading = readHostName(name, address)
  return reading.isPool ? `${reading.sign} ${reading.evidence}` : ''
}

async function wayBack(
  name: string,
  address: string,
  tools: ProbeTools,
): Promise<{ readonly isConfirmed: boolean; readonly fact: string }> {
  const answer = await tools.names.addresses(name)
  const isConfirmed = answer.kind === 'found' && answer.records.includes(address)
  if (answer.kind === 'trouble') {
    return { isConfirmed, fact: `addresses of ${name}: ${answer.reason}` }
  }
  const fact = isConfirmed ? `${name} leads back` : `${name} does not lead back`
  return { isConfirmed, fact }
}

interface Neighbours {
  /** Names of the same shape. */
  readonly alike: readonly string[]
  /** They are enough, for each of the host's names. */
  readonly isPool: boolean
  /** They are not, but might be with the answers that did not come. */
  readonly isInTrouble: boolean
}

async function lookAtNeighbours(
  names: readonly string[],
  address: string,
  tools: ProbeTools,
): Promise<Neighbours> {
  const { neighbours, neighboursAlike: alikeMin } = tools.settings
  const answers = await Promise.all(
    neighboursOf(address, neighbours).map((each) => tools.names.names(each)),
  )
  const enough = Math.min(alikeMin, neighbours * 2)
  const lost = answers.filter((answer) => answer.kind === 'trouble').length
  const found = names.map((name): Neighbours => {
    // A neighbour counts once, however many names it has.
    const alike = answers.flatMap((answer) => {
      const records = answer.kind === 'found' ? answer.records.toSorted() : []
      return records.filter((each) => sharesShape(name, [each], 1)).slice(0, 1)
    })
    const isPool = sharesShape(name, alike, enough)
    const mayBePool = sharesShape(name, [], 0) && alike.length + lost >= enough
    return { alike, isPool, isInTrouble: !isPool && lost > 0 && mayBePool }
  })
  const isPool = found.every((each) => each.isPool)
  const mayBePool = found.every((each) => each.isPool || each.isInTrouble)
  return {
    alike: [...new Set(found.flatMap(({ alike }) => alike))],
    isPool,
    isInTrouble: !isPool && mayBePool,
  }
}

/** Up to `count` addresses on each side within the same /24; none for IPv6. */
function neighboursOf(address: string, count: number): readonly string[] {
  const cell = newPrefixCell()
  if (parseAddress(address, cell) !== '' || cell.family !== 4) return []
  const word = cell.words[0] ?? 0
  const addresses: string[] = []
  for (let distance = 1; distance <= count; distance++) {
    for (const neighbour of [word - distance, word + distance]) {
      if (neighbour >>> 8 === word >>> 8) addresses.push(formatIpv4(neighbour >>> 0))
    }
  }
  return addresses
}
