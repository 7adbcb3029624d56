/**
 * Dialup name: does the name that an address gives itself (PTR) look like one of a pool?
 *
 * Signs, each with its evidence: the name holds the address (dotted, dashed, reversed, zero-padded,
 * run together, decimal or hexadecimal), holds two octets of it, holds a word of pools as a label
 * part, or is a shape that its neighbours share. Words of mail servers, and of lines with a fixed
 * address, speak against. The registered domain is not judged by words: a provider named after its
 * cable has mail servers too. Pure; names are peers' octets, so no regular expression runs on them.
 * The built-in rules need no pattern file; one may be added (src/probes/name-patterns.ts).
 */
import { ipv6Groups } from '../base/ip-address.ts'

/** What a name says about its host. */
export interface NameReading {
  readonly isPool: boolean
  /** `address-in-name`, `pool-word`, `octets-in-name`, `hex-label`, `mail-word`, or '' for none. */
  readonly sign: string
  /** The part of the name that shows it. */
  readonly evidence: string
}

/** Label parts that only pools use; a part is a run of letters. */
// biome-ignore format: a table
const poolWords: ReadonlySet<string> = new Set([
  'ppp', 'pppoe', 'pptp', 'slip', 'dial', 'dialup', 'dialin', 'dip', 'modem', 'modems', 'isdn',
  'dyn', 'dynamic', 'dynip', 'dynamicip', 'ddns', 'dhcp', 'bootp', 'ipoe', 'pool', 'pools', 'ippool',
  'dsl', 'adsl', 'sdsl', 'vdsl', 'xdsl', 'hdsl', 'rdsl', 'bdsl', 'dslb', 'dslam', 'dynadsl', 'hsd',
  'cable', 'cablemodem', 'catv', 'docsis', 'cm', 'hfc', 'cpe', 'cust', 'customer', 'customers',
  'client', 'clients', 'dclient', 'user', 'users', 'subscriber', 'subs', 'abo', 'retail', 'res',
  'residential', 'home', 'broadband', 'bb', 'fios', 'ftth', 'fttx', 'wifi', 'wlan', 'hotspot',
  'mobile', 'gprs', 'umts', 'lte', 'wimax', 'cdma', 'ras', 'bras', 'nas', 'fbx', 'upc', 'hsia',
  'chello', 'cbl', 'rev', 'revip', 'unknown', 'unassigned', 'unused', 'roaming', 'vpn', 'nat',
])

/** Parts of longer words: `internetdsl`, `dialpool`, `dynamicip`, `modemcable`, `pppool`. */
// biome-ignore format: a table
const poolStems = [
  'dialup', 'dialin', 'dialpool', 'dynamic', 'dyndsl', 'internetdsl', 'modemcable', 'broadband',
  'pppool', 'ipool', 'dhcp', 'pppoe', 'adsl', 'cablemodem', 'hsd',
]

/** Label parts of servers that send mail. Nobody in a pool names their own PTR like this. */
// biome-ignore format: a table
const mailWords: ReadonlySet<string> = new Set([
  'mail', 'mails', 'mailer', 'mailers', 'mailgw', 'mailgate', 'mailout', 'mailhost', 'mailhub',
  'mailserver', 'mailrelay', 'mta', 'mtas', 'mx', 'mxs', 'mxout', 'mout', 'smtp', 'smtps', 'smtpout',
  'smtpin', 'vsmtp', 'esmtp', 'outbound', 'outgoing', 'relay', 'relays', 'mfgw', 'forward', 'bounce',
  'bounces', 'postfix', 'exim', 'exchange', 'newsletter', 'lists', 'listserv', 'ns', 'omail', 'imap',
])

const mailStems = ['smtp', 'mailout', 'mailer']

/** Words of lines with an address of their own: neither a pool nor a proof. */
// biome-ignore format: a table
const fixedWords: ReadonlySet<string> = new Set([
  'static', 'sta', 'fixed', 'fix', 'fixip', 'business', 'biz', 'corporate', 'ded', 'dedicated',
  'colo', 'server', 'servers', 'vps', 'cloud', 'members', 'hosting', 'vserver',
])

/** Reads the name of an address. O(name), no allocation beyond its parts. */
export function readHostName(name: string, address: string): NameReading {
  const host = hostPart(name.toLowerCase())
  const words = wordsOf(host)
  const mailWord = words.find((word) => mailWords.has(word) || hasStem(word, mailStems))
  if (mailWord !== undefined) return { isPool: false, sign: 'mail-word', evidence: mailWord }
  const fixedWord = words.find((word) => fixedWords.has(word))
  if (fixedWord !== undefined) return { isPool: false, sign: 'fixed-word', evidence: fixedWord }
  const embedded = addressIn(host, address)
  if (embedded !== '') return { isPool: true, sign: 'address-in-name', evidence: embedded }
  const poolWord = words.find((word) => poolWords.has(word) || hasStem(word, poolStems))
  if (poolWord !== undefined) return { isPool: true, sign: 'pool-word', evidence: poolWord }
  const octets = lastOctetsIn(host, address)
  if (octets !== '') return { isPool: true, sign: 'octets-in-name', evidence: octets }
  return { isPool: false, sign: '', evidence: '' }
}

/**
 * Do at least `neighboursMin` of the neighbours' names have the shape of this one, under other raw
 * names? `mail1`, `mail2` and `mail3` are no pool: names with a mail word never count.
 */
export function sharesShape(
  name: string,
  neighbours: readonly string[],
  neighboursMin: number,
): boolean {
  const own = name.toLowerCase()
  if (wordsOf(hostPart(own)).some((word) => mailWords.has(word) || hasStem(word, mailStems))) {
    return false
  }
  const shape = shapeOf(own)
  if (shape === own) return false
  const alike = new Set(
    neighbours
      .map((neighbour) => neighbour.toLowerCase())
      .filter((neighbour) => neighbour !== own && shapeOf(neighbour) === shape),
  )
  return alike.size >= neighboursMin
}

/** The name with each run of digits (and of hexadecimal digits of address length) as `#`. */
function shapeOf(name: string): string {
  let shape = ''
  for (const character of name) {
    if (!isDigit(character)) shape += character
    else if (!shape.endsWith('#')) shape += '#'
  }
  return shape
}

/**
 * A name as an answer may give it: labels of letters, digits, hyphens and underscores, none longer
 * than 63, all together at most 253, at least two of them, the last not a number (no address).
 * RFC 1035 §2.3.1, RFC 1123 §2.1; the underscore is out there.
 */
export function isHostName(name: string): boolean {
  const bare = name.endsWith('.') ? name.slice(0, -1) : name
  if (bare.length > 253) return false
  const labels = bare.split('.')
  if (labels.length < 2 || isNumber(labels.at(-1) ?? '')) return false
  return labels.every((label) => label.length > 0 && label.length < 64 && hasHostLetters(label))
}

/** The labels in front of the registered domain: the last two labels, three under `co.uk`. */
function hostPart(name: string): string {
  const labels = (name.endsWith('.') ? name.slice(0, -1) : name).split('.')
  const last = labels.at(-1) ?? ''
  const second = labels.at(-2) ?? ''
  const isUnderCountry = last.length === 2 && second.length <= 3 && labels.length > 3
  return labels.slice(0, isUnderCountry ? -3 : -2).join('.')
}

function wordsOf(host: string): string[] {
  const words: string[] = []
  let word = ''
  for (const character of `${host}.`) {
    if (character >= 'a' && character <= 'z') {
      word += character
    } else if (word !== '') {
      words.push(word)
      word = ''
    }
  }
  return words
}

function hasStem(word: string, stems: readonly string[]): boolean {
  return stems.some((stem) => word.startsWith(stem) || word.endsWith(stem))
}

/** The way in which the host part holds the whole address, or ''. */
function addressIn(host: string, address: string): string {
  if (address.includes(':')) return nibblesIn(host, address)
  const octets = address.split('.').map(Number)
  const numbers = numbersOf(host)
  if (holdsAll(numbers, octets)) return octets.join('.')
  const padded = octets.map((octet) => String(octet).padStart(3, '0'))
  const runs = [padded.join(''), padded.toReversed().join('')]
  const hex = octets.map((octet) => octet.toString(16).padStart(2, '0'))
  runs.push(hex.join(''), hex.toReversed().join(''))
  const joined = octets.join('')
  if (joined.length > 6) runs.push(joined)
  const partlyPadded = `${octets[0]}${padded.slice(1).join('')}`
  runs.push(partlyPadded, `${octets[0]}${octets[1]}${padded[2]}${padded[3]}`)
  return runs.find((run) => run.length > 6 && host.includes(run)) ?? ''
}

/** Every octet stands among the numbers of the name, as often as the address holds it. */
function holdsAll(numbers: readonly number[], octets: readonly number[]): boolean {
  const rest = [...numbers]
  return octets.every((octet) => {
    const at = rest.indexOf(octet)
    if (at >= 0) rest.splice(at, 1)
    return at >= 0
  })
}

/**
 * The last two octets as two numbers beside each other, either way round, or as last six digits.
 */
function lastOctetsIn(host: string, address: string): string {
  if (address.includes(':')) return ''
  const [, , third = -1, fourth = -1] = address.split('.').map(Number)
  const numbers = numbersOf(host)
  for (let index = 0; index + 1 < numbers.length; index++) {
    const pair = [numbers[index], numbers[index + 1]]
    if (
      pair.includes(third) &&
      pair.includes(fourth) &&
      (third !== fourth || pair[0] === pair[1])
    ) {
      return `${third}.${fourth}`
    }
  }
  const run = `${String(third).padStart(3, '0')}${String(fourth).padStart(3, '0')}`
  return host.includes(run) ? run : ''
}

/** The last 16 nibbles' forms of an IPv6 address: expanded, dashed or without zeros. */
function nibblesIn(host: string, address: string): string {
  const groups = ipv6Groups(address).map((group) => group.toString(16))
  const bare = host.split('-').join('').split('.').join('')
  const full = groups.map((group) => group.padStart(4, '0')).join('')
  const runs = [full, full.slice(16), full.slice(0, 16)]
  const short = groups.slice(4).join('-')
  if (short.length > 6 && host.includes(short)) return short
  return runs.find((run) => bare.includes(run) && run !== '0'.repeat(run.length)) ?? ''
}

/** The decimal numbers of the name, in order; runs of more than three digits are no octets. */
function numbersOf(host: string): number[] {
  const numbers: number[] = []
  let run = ''
  for (const character of `${host}.`) {
    if (isDigit(character)) {
      run += character
    } else if (run !== '') {
      if (run.length <= 3) numbers.push(Number(run))
      run = ''
    }
  }
  return numbers
}

function isDigit(character: string): boolean {
  return character >= '0' && character <= '9'
}

function isNumber(label: string): boolean {
  return label !== '' && [...label].every(isDigit)
}

function hasHostLetters(label: string): boolean {
  if (label.startsWith('-') || label.endsWith('-')) return false
  for (const character of label.toLowerCase()) {
    const isLetter = character >= 'a' && character <= 'z'
    if (!isLetter && !isDigit(character) && character !== '-' && character !== '_') return false
  }
  return true
}
