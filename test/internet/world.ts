/**
 * World: the description of a loopback internet, one readable object.
 *
 * A world is hosts on 127.0.0.0/8 (each with a name and a behaviour), domains with their mail
 * exchangers, and a mailhost. `startInternet` (internet.ts) brings it to life: an SMTP server on
 * every host that has one, all on one high port, and a DNS server that answers for all of it.
 */

/** How a host behaves on its SMTP port. */
export type Behaviour =
  /** No SMTP server: the connection is refused. A dialup. */
  | 'none'
  /** Takes mail for the users of its domains, refuses everybody else. */
  | 'clean'
  /** Takes any user of its domains. */
  | 'accepts-all'
  /** Takes any recipient of any domain. */
  | 'open-relay'
  /** Takes any recipient at RCPT and refuses at DATA. */
  | 'honeypot'
  /** Takes the connection and never says a word. */
  | 'silent'
  /** Answers each command, but slowly (`tarpitMs`). */
  | 'tarpit'
  /** One octet of a banner that never ends, every 20 ms. */
  | 'dribble'
  /** `450 4.2.0` at RCPT. */
  | 'greylisting'
  /** `554` instead of a greeting. */
  | 'refuses-us'
  /** `550 5.7.1 your IP is listed` at RCPT. */
  | 'lists-us'
  /** `550` for `MAIL FROM:<>`. */
  | 'refuses-null'
  /** `421` at RCPT, and closes. */
  | 'overloaded'
  /** `250-` lines without end in answer to EHLO. */
  | 'endless-reply'
  /** A banner of `220-` lines without end. */
  | 'endless-banner'
  /** Closes at once. */
  | 'closes'
  /** Closes instead of answering RCPT. */
  | 'closes-at-rcpt'
  /** Speaks something that is not SMTP. */
  | 'garbage'
  /** As clean, with LF alone at the end of each line. */
  | 'lf-only'
  /** `530` until STARTTLS, which it does not offer. */
  | 'tls-required'
  /** Takes the recipient and refuses at DATA: `550 5.1.1`. */
  | 'refuses-at-data'
  /** Takes DATA, refuses when the header is there: `550 5.1.1`. */
  | 'refuses-at-header'

/** A host of the world. */
export interface HostDescription {
  /** Its PTR name; none: the address has no name. The name resolves to the address as well. */
  readonly name?: string
  readonly smtp: Behaviour
}

/** How a domain's mail is found; or a fault of its DNS. */
export interface DomainDescription {
  /** Names of hosts in order of preference; 'null' is the null MX of RFC 7505. */
  readonly mx?: readonly string[] | 'null'
  /** Addresses of the domain itself. */
  readonly addresses?: readonly string[]
  /** Known users; none: the hosts know no user. */
  readonly users?: readonly string[]
  readonly fault?: DnsFault
}

/** What goes wrong when a name is asked for. */
export type DnsFault =
  | 'servfail'
  | 'refused'
  | 'no-answer'
  | 'malformed'
  | 'pointer-loop'
  | 'truncated'
  | 'no-such-name'

/** The whole world. */
export interface World {
  /** By address on 127.0.0.0/8. */
  readonly hosts: Readonly<Record<string, HostDescription>>
  readonly domains: Readonly<Record<string, DomainDescription>>
  /** PTR answers that differ from the hosts' names, by address. */
  readonly names?: Readonly<Record<string, readonly string[] | DnsFault>>
  /** Further A and AAAA records by name; `*.` stands for one label. */
  readonly addresses?: Readonly<Record<string, readonly string[]>>
  /** TXT records by name. */
  readonly texts?: Readonly<Record<string, readonly string[]>>
  /** The protected mailhost and the domains whose recipients it takes. */
  readonly mailhost?: {
    readonly address: string
    readonly domains: readonly string[]
    /** Known users; none: it takes every user. */
    readonly users?: readonly string[]
  }
  /** Delay of each answer of a tarpit; default 1 hour: longer than any wait. */
  readonly tarpitMs?: number
}
