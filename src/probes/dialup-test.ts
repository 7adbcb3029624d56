/**
 * Active dialup: is the remote host one of a pool? By its name, the way back, and its neighbours.
 *
 * A sign in the name is enough. A name without one clears the host only where it leads back to the
 * address; then its neighbours are looked at: names of one shape all along are a pool too. Whatever
 * the DNS does wrong proves nothing: neither that there is no name, nor that there is no pool.
 */
import { formatIpv4, newPrefixCell, parseAddress } from '../base/ip-address.ts'
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
  const name = answer.kind === 'found' ? (answer.records[0] ?? '') : ''
  if (name === '') {
    facts.push('no PTR')
    return conclude(tools.settings.noPtr === 'dialup' ? 'positive' : 'indeterminate', 'no-name')
  }
  facts.push(`PTR ${name}`)
  const sign = signOf(name, address, tools)
  if (sign !== '') {
    facts.push(sign)
    return conclude('positive', 'pool-name')
  }
  const isConfirmed = await leadsBack(name, address, facts, tools)
  const { alike, isPool, isInTrouble } = await lookAtNeighbours(name, address, tools)
  if (isPool) {
    facts.push(`neighbours alike: ${alike.join(' ')}`)
    return conclude('positive', 'pool-neighbours')
  }
  if (isInTrouble) {
    facts.push('PTR of neighbours: no answer')
    return conclude('indeterminate', 'dns-trouble')
  }
  return isConfirmed ? conclude('negative', 'no-pool') : conclude('indeterminate', 'name-unproved')
}

/** The sign of a pool in the name, '' for none. */
function signOf(name: string, address: string, tools: ProbeTools): string {
  const line = tools.patterns.lineOf(name)
  if (line > 0) return `pattern of line ${line}`
  const reading = readHostName(name, address)
  return reading.isPool ? `${reading.sign} ${reading.evidence}` : ''
}

async function leadsBack(
  name: string,
  address: string,
  facts: string[],
  tools: ProbeTools,
): Promise<boolean> {
  const answer = await tools.names.addresses(name)
  const isConfirmed = answer.kind === 'found' && answer.records.includes(address)
  if (answer.kind === 'trouble') facts.push(`addresses of ${name}: ${answer.reason}`)
  else facts.push(isConfirmed ? 'name leads back' : 'name does not lead back')
  return isConfirmed
}

interface Neighbours {
  /** Names of the same shape. */
  readonly alike: readonly string[]
  /** They are enough. */
  readonly isPool: boolean
  /** They are not, but might be with the answers that did not come. */
  readonly isInTrouble: boolean
}

async function lookAtNeighbours(
  name: string,
  address: string,
  tools: ProbeTools,
): Promise<Neighbours> {
  const { neighbours, neighboursAlike: alikeMin } = tools.settings
  const answers = await Promise.all(
    neighboursOf(address, neighbours).map((each) => tools.names.names(each)),
  )
  const names = answers.flatMap((answer) => (answer.kind === 'found' ? answer.records : []))
  const enough = Math.min(alikeMin, neighbours * 2)
  const alike = names.filter((each) => sharesShape(name, [each], 1))
  const isPool = sharesShape(name, names, enough)
  const lost = answers.filter((answer) => answer.kind === 'trouble').length
  const mayBePool = sharesShape(name, [], 0) && alike.length + lost >= enough
  return { alike, isPool, isInTrouble: !isPool && lost > 0 && mayBePool }
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
