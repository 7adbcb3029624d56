/**
 * Log miner: lines of a mail log in, the addresses that somebody of ours has written to out. Pure.
 *
 * Anybody we wrote to may write back: a recipient counts when the message was *sent* (not deferred,
 * not bounced, not delivered locally), its sender is of our domains, and the recipient is not.
 * Never from `<>`: a bounce or vacation reply goes to whoever a spammer named. The sender of a
 * message stands in an earlier line than its recipients, so senders are remembered by queue id,
 * bounded. Read are the syslog forms of Postfix (qmgr, smtp) and sendmail, and Exim's main log. Log
 * lines hold peers' octets: they are cut up by plain searches, no regular expression runs on them.
 */
import { miningLineOctetsMax, miningMessagesMax } from '../base/limits.ts'

/** One log file's lines, in order. */
export class LogMiner {
  readonly #isOurDomain: (domain: string) => boolean
  /** Queue ids of our senders' messages; where the first line of each begins, in octets. */
  readonly #messages = new Map<string, number>()

  constructor(isOurDomain: (domain: string) => boolean) {
    this.#isOurDomain = isOurDomain
  }

  /** The addresses that the line adds, lower case; none for most lines. */
  takeLine(line: string, offset: number): readonly string[] {
    if (line.length > miningLineOctetsMax) return []
    const exim = eximParts(line)
    if (exim !== undefined) return this.#takeExim(exim, offset)
    const syslog = syslogParts(line)
    return syslog === undefined ? [] : this.#takeSyslog(syslog, offset)
  }

  /**
   * Where to go on so that no open message loses its sender, at most `octetsBackMax` before `end`.
   */
  resumeOffset(end: number, octetsBackMax: number): number {
    let first = end
    for (const offset of this.#messages.values()) {
      if (end - offset <= octetsBackMax) first = Math.min(first, offset)
    }
    return first
  }

  #takeExim({ id, flag, address, rest }: EximLine, offset: number): readonly string[] {
    if (flag === 'Completed') this.#messages.delete(id)
    if (flag === '<=') this.#open(id, address, offset)
    const isSent = flag === '=>' || flag === '->'
    const isRemote = rest.includes(' H=')
    return isSent && isRemote ? this.#recipients(id, [address]) : []
  }

  #takeSyslog({ program, id, text }: SyslogLine, offset: number): readonly string[] {
    const isPostfix = program.startsWith('postfix')
    if (text === 'removed') this.#messages.delete(id)
    if (text.startsWith('from=')) {
      const isQueueManager = program.endsWith('/qmgr') || program.endsWith('/oqmgr')
      if (!isPostfix || isQueueManager) this.#open(id, firstPath(text.slice(5)), offset)
      return []
    }
    if (!text.startsWith('to=')) return []
    const isSent = isPostfix
      ? program.endsWith('/smtp') && outcomeIn(text, ', status=').outcome.startsWith('sent ')
      : isSentBySendmail(text)
    return isSent ? this.#recipients(id, pathsOf(text.slice(3))) : []
  }

  #open(id: string, sender: string, offset: number): void {
    this.#messages.delete(id)
    if (sender === '' || !this.#isOurDomain(domainOf(sender))) return
    this.#messages.set(id, offset)
    if (this.#messages.size <= miningMessagesMax) return
    const oldest = this.#messages.keys().next().value
    if (oldest !== undefined) this.#messages.delete(oldest)
  }

  #recipients(id: string, paths: readonly string[]): readonly string[] {
    if (!this.#messages.has(id)) return []
    return paths
      .map((path) => path.toLowerCase())
      .filter((path) => isAddress(path) && !this.#isOurDomain(domainOf(path)))
  }
}

interface EximLine {
  readonly id: string
  readonly flag: string
  readonly address: string
  readonly rest: string
}

/** `2026-11-21 23:00:00 [zone] [pid] 1wCfTG-00000E-1t => a@b R=… T=… H=…` */
function eximParts(line: string): EximLine | undefined {
  const words = line.split(' ', 9)
  const at = words.findIndex(isEximId)
  const flag = words[at + 1] ?? ''
  if (at < 0 || at > 6 || flag === '') return undefined
  const [address = '', bracketed = ''] = words.slice(at + 2)
  // `=> anna <anna@a.example> R=…` names the address in brackets where it was rewritten.
  const path = bracketed.startsWith('<') && bracketed.includes('@') ? firstPath(bracketed) : address
  const rest = line.slice(line.indexOf(flag) + flag.length)
  return { id: words[at] ?? '', flag, address: path === '<>' ? '' : path, rest }
}

/** `1wCfTG-00000E-1t` or, since Exim 4.97, `1rVOJo-00000000E1t-1tA9`. */
function isEximId(word: string): boolean {
  if (word.length !== 16 && word.length !== 23) return false
  const parts = word.split('-')
  return parts.length === 3 && parts[0]?.length === 6 && parts.every(isAlphanumeric)
}

interface SyslogLine {
  readonly program: string
  readonly id: string
  readonly text: string
}

/** `… host postfix/qmgr[12]: 0D9633D: from=<a@b>, …` */
function syslogParts(line: string): SyslogLine | undefined {
  const mark = line.indexOf(']: ')
  const bracket = line.lastIndexOf('[', mark)
  if (mark < 0 || bracket < 0) return undefined
  const program = line.slice(line.lastIndexOf(' ', bracket) + 1, bracket)
  const isKnown = program.startsWith('postfix') || isSendmail(program)
  const body = line.slice(mark + 3)
  const colon = body.indexOf(': ')
  const id = body.slice(0, Math.max(0, colon))
  if (!isKnown || id === '' || id.length > 20 || !isAlphanumeric(id)) return undefined
  return { program, id, text: body.slice(colon + 2) }
}

function isSendmail(program: string): boolean {
  return program === 'sendmail' || program === 'sm-mta' || program === 'sm-msp-queue'
}

/** `<a@b>,<c@d>, delay=…` or `a@b, relay=…`: the list ends at the first comma with a blank. */
function pathsOf(text: string): readonly string[] {
  const end = text.indexOf(', ')
  const list = end < 0 ? text : text.slice(0, end)
  return list.split(',').map(firstPath)
}

function isSentBySendmail(text: string): boolean {
  const { before, outcome } = outcomeIn(text, ', stat=')
  return outcome.startsWith('Sent') && !before.includes(', mailer=local')
}

/**
 * What the first mark behind the addresses is followed by, and what stands between: further on the
 * words are the peer's, who may write such a mark too.
 */
function outcomeIn(text: string, mark: string): { before: string; outcome: string } {
  const list = endOfPaths(text, 'to='.length)
  const original = ', orig_to='
  const from = text.startsWith(original, list) ? endOfPaths(text, list + original.length) : list
  const at = text.indexOf(mark, from)
  if (at < 0) return { before: '', outcome: '' }
  return { before: text.slice(from, at), outcome: text.slice(at + mark.length) }
}

/** Where the blank-separated fields go on behind the addresses that begin at `from`. */
function endOfPaths(text: string, from: number): number {
  const bracket = text.startsWith('<', from) ? text.indexOf('>, ', from) : -1
  const end = bracket < 0 ? text.indexOf(', ', from) : bracket + 1
  return end < 0 ? text.length : end
}

function firstPath(text: string): string {
  if (!text.startsWith('<')) return text.split(',', 1)[0] ?? ''
  return text.slice(1, Math.max(1, text.indexOf('>')))
}

function domainOf(address: string): string {
  return address.slice(address.lastIndexOf('@') + 1).toLowerCase()
}

/** One `@`, something on both sides, nothing that could not stand in an address of a log. */
function isAddress(path: string): boolean {
  const at = path.lastIndexOf('@')
  if (at <= 0 || at === path.length - 1 || path.length > 254) return false
  for (let index = 0; index < path.length; index++) {
    const code = path.charCodeAt(index)
    if (code <= 0x20 || code === 0x7f || code === 0x3c || code === 0x3e) return false
  }
  return true
}

function isAlphanumeric(word: string): boolean {
  for (let index = 0; index < word.length; index++) {
    const code = word.charCodeAt(index) | 0x20
    const isLetter = code >= 0x61 && code <= 0x7a
    const isDigit = word.charCodeAt(index) >= 0x30 && word.charCodeAt(index) <= 0x39
    if (!isLetter && !isDigit) return false
  }
  return word !== ''
}
