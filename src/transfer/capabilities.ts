/**
 * Capabilities: what the mailhosts offer in EHLO, as far as they have been asked.
 *
 * The proxy offers its clients only what every mailhost offers, since any of them may get the
 * message (RFC 5321 §2.2.1 asks the same of a relay). A mailhost that has not answered yet is left
 * out; before the first has answered nothing is offered.
 */
import { parsePath } from '../smtp/address.ts'
import type { Reply } from '../smtp/reply.ts'
import type { Mailhost } from './mailhost.ts'

const nothing: ReadonlySet<string> = new Set()

/** What is known in one thread. */
export class Capabilities {
  readonly #bySlot = new Map<number, ReadonlyMap<string, string>>()
  #slots: ReadonlySet<number> = new Set()
  #offered = nothing
  #sizeMax = 0

  /** Keywords that every mailhost offers, upper case. */
  get offered(): ReadonlySet<string> {
    return this.#offered
  }

  /** The smallest SIZE, octets; 0 = not stated by any. RFC 1870 §6 (SIZE 0: no limit). */
  get sizeMax(): number {
    return this.#sizeMax
  }

  /** The mailhosts that count. */
  configure(mailhosts: readonly Mailhost[]): void {
    this.#slots = new Set(mailhosts.map((mailhost) => mailhost.slot))
    this.#compile()
  }

  /** A mailhost's answer to EHLO. */
  learn(mailhost: Mailhost, keywords: ReadonlyMap<string, string>): void {
    const known = this.#bySlot.get(mailhost.slot)
    if (known !== undefined && isSame(known, keywords)) return
    this.#bySlot.set(mailhost.slot, keywords)
    this.#compile()
  }

  #compile(): void {
    const asked = [...this.#bySlot]
      .filter(([slot]) => this.#slots.has(slot))
      .map(([, words]) => words)
    const [first, ...others] = asked
    const common = [...(first?.keys() ?? [])].filter((word) => others.every((all) => all.has(word)))
    this.#offered = new Set(common)
    const sizes = asked.map((words) => Number(words.get('SIZE') ?? 0)).filter((size) => size > 0)
    this.#sizeMax = sizes.length === 0 ? 0 : Math.min(...sizes)
  }
}

function isSame(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean {
  return a.size === b.size && [...a].every(([word, value]) => b.get(word) === value)
}

/** Parameters of MAIL and RCPT, and the keyword that offers each. RFC 1870, 6152, 6531, 3461. */
const keywordOfParameter: Readonly<Record<string, string>> = {
  SIZE: 'SIZE',
  BODY: '8BITMIME',
  SMTPUTF8: 'SMTPUTF8',
  ...{ RET: 'DSN', ENVID: 'DSN', NOTIFY: 'DSN', ORCPT: 'DSN' },
}

/** Does a mailhost that offers these keywords take the parameters behind `<…>`? */
export function takesParameters(keywords: ReadonlyMap<string, string>, argument: string): boolean {
  if (argument.indexOf('>') === argument.length - 1) return true
  // A `>` may stand in a quoted local part and in a parameter (`ENVID=a>b`).
  const parameters = argument.slice(parsePath(argument, 0, true)?.end).trim()
  return (
    parameters === '' ||
    parameters.split(' ').every((parameter) => {
      const keyword = keywordOfParameter[parameter.split('=', 1)[0]?.toUpperCase() ?? '']
      return keyword === undefined || keywords.has(keyword)
    })
  )
}

/** The keywords of an answer to EHLO, upper case, with their parameters. */
export function keywordsOf(reply: Reply): ReadonlyMap<string, string> {
  // RFC 5321 §4.1.1.1  ehlo-line = ehlo-keyword *( SP ehlo-param ), behind the greeting line
  const keywords = new Map<string, string>()
  for (const line of reply.lines.slice(1)) {
    const upper = line.trim().toUpperCase()
    const space = upper.indexOf(' ')
    if (space < 0) keywords.set(upper, '')
    else keywords.set(upper.slice(0, space), upper.slice(space + 1))
  }
  return keywords
}
