/**
 * What each hostile case of the protocol's areas demands, as the replies that its client gets, in
 * order, from the first octet of the case on: `250*3 503` are three replies 250 and one 503.
 *
 * Written down from the `expect` text of the cases. The replies must be the same however the octets
 * are cut. A case without a demand here must be named in `provedElsewhere`, with the test that
 * proves it; test/journey/adversarial.test.ts fails for a case that is in neither.
 */

/** What one case of octets must lead to. */
export interface Demand {
  /** Codes of the replies. */
  readonly replies: string
  /** The same with `body.stray = "normalise"`; absent: no difference. */
  readonly normalised?: string
  /** Messages that the mailhost has then: with `refuse`, with `normalise`. */
  readonly messages?: readonly [number, number]
  /** The connection is closed by us. */
  readonly closes?: boolean
  /** The client ends its side behind the octets (`<FIN>`). */
  readonly endsInput?: boolean
  /** The case is a message: it comes behind the 354. */
  readonly isBody?: boolean
  /** The mailhost does not offer these. */
  readonly withoutKeywords?: readonly string[]
  /** What the mailhost answers to the final dot. */
  readonly deliveryReply?: string
  /** What the messages' octets hold at the mailhost, each. */
  readonly wire?: RegExp
}

/** One message without the outer end: refused, or made harmless. */
const smuggling = {
  isBody: true,
  replies: '554',
  normalised: '250',
  messages: [0, 1],
  wire: /\r\nowned\r\n\r\n$/,
} as const
/** Octets that are no line end to anybody: one message, as it came. */
const harmless = { ...smuggling, replies: '250', messages: [1, 1] } as const
const relay = { replies: '250*2 550' } as const

/** Demands by the id of the case. */
export const demands: Readonly<Record<string, Demand>> = {
  'end-of-data-003': smuggling,
  'end-of-data-004': smuggling,
  'end-of-data-005': smuggling,
  'end-of-data-006': smuggling,
  'end-of-data-007': smuggling,
  'end-of-data-010': smuggling,
  'end-of-data-011': smuggling,
  'end-of-data-012': smuggling,
  'end-of-data-014': harmless,
  'end-of-data-016': harmless,
  'end-of-data-017': harmless,
  'end-of-data-018': harmless,
  'end-of-data-019': harmless,
  'end-of-data-021': smuggling,
  // The end is a real one: what follows is the client's own next message, and judged like any.
  'end-of-data-023': {
    isBody: true,
    replies: '554 250*2 354 250',
    normalised: '250*3 354 250',
    messages: [1, 2],
  },
  'end-of-data-025': {
    isBody: true,
    replies: '250',
    messages: [1, 1],
    wire: /\r\n\.\.\r\n\.\.\.two\r\nend\r\n$/,
  },
  'end-of-data-026': { isBody: true, replies: '250', messages: [1, 1], wire: /^$/ },

  // The line has no end: told once, the rest is read and dropped up to its bound.
  'pipelining-065': { replies: '500' },
  'pipelining-067': { replies: '250*120 421', closes: true },
  'pipelining-068': { replies: '500*20 421', closes: true },
  'pipelining-069': { replies: '250*102 452*2900' },
  'pipelining-070': { replies: '250*2 503' },
  'pipelining-071': { replies: '250*3 501 503' },
  'pipelining-074': { replies: '250*2', closes: true, endsInput: true },
  'pipelining-335': { replies: '250*3 354 550 503*2', deliveryReply: '550 5.7.1 no' },

  'lines-8bit-091': {
    isBody: true,
    replies: '250',
    messages: [1, 1],
    wire: /\r\n\r\na{5000}\r\n$/,
  },
  'lines-8bit-092': {
    isBody: true,
    replies: '250',
    messages: [1, 1],
    wire: /\r\n\r\n\xff\xfe\r\n$/,
  },
  'lines-8bit-093': { replies: '250 555', withoutKeywords: ['SMTPUTF8'] },
  'lines-8bit-094': { replies: '250 553' },
  'lines-8bit-096': { replies: '250 555', withoutKeywords: ['CHUNKING'] },
  'lines-8bit-097': { replies: '250 552' },
  'lines-8bit-100': { replies: '250 555' },

  'injection-103': { replies: '500' },
  'injection-104': { replies: '501' },
  'injection-108': { replies: '250 502' },
  'injection-109': { replies: '500' },
  'injection-112': { replies: '250 501 503' },
  'injection-113': { replies: '250 501' },
  'injection-114': { replies: '250*2' },

  'relay-forms-123': relay,
  'relay-forms-130': relay,
  'relay-forms-133': relay,
  'relay-forms-134': relay,
  'relay-forms-137': relay,
  // A root dot may be taken; the grammar of RFC 5321 §4.1.2 has none.
  'relay-forms-138': { replies: '250*2 501' },
  'relay-forms-139': relay,
  'relay-forms-140': relay,
  'relay-forms-142': relay,
  'relay-forms-143': { replies: '250*2 500' },
  'relay-forms-144': relay,
  'relay-forms-147': relay,
  'relay-forms-148': relay,
  'relay-forms-150': relay,
  // Its sender is refused already.
  'relay-forms-151': { replies: '250 501 503' },
  'relay-forms-152': relay,
  'relay-forms-153': relay,

  'bdat-075': { replies: '250*4', messages: [1, 1], wire: /^$/ },
  'bdat-076': { replies: '250*3 501 250' },
  'bdat-079': { replies: '250*3 501' },
  'bdat-080': { replies: '250 503' },
  'bdat-083': { replies: '250*4', messages: [1, 1], wire: /^Subject: x\r\n\r\n$/ },
  'bdat-087': { replies: '250*3 502', closes: true, withoutKeywords: ['CHUNKING'] },
  'bdat-333': { replies: '250*20004', messages: [1, 1], wire: /^a{20000}\r\n$/ },
}

const faults = 'test/e2e/mailhost-faults.test.ts'

/** Cases of other kinds, and the file with the test whose title names them. */
export const provedElsewhere: Readonly<Record<string, string>> = {
  'pipelining-336': 'test/e2e/given-back.test.ts',
  'transfer-033': faults,
  'transfer-034': faults,
  'transfer-036': faults,
  'transfer-039': faults,
  'transfer-040': faults,
  'transfer-043': faults,
  'transfer-044': faults,
  'transfer-046': 'test/e2e/exempt-proxy.test.ts',
}

/** The codes of replies, as in a demand. */
export function codesOf(said: string): string {
  const codes = said.match(/^\d{3}(?=[ \r])/gm) ?? []
  const runs: { code: string; count: number }[] = []
  for (const code of codes) {
    const last = runs.at(-1)
    if (last?.code === code) last.count++
    else runs.push({ code, count: 1 })
  }
  return runs.map(({ code, count }) => (count > 1 ? `${code}*${count}` : code)).join(' ')
}
