/**
 * A proxy in front of a loopback internet's mailhost, with its probes pointed at that internet.
 */
import { type ListService, noLists } from '../../src/edge/list-service.ts'
import type { Listing } from '../../src/probes/feedback.ts'
import type { Internet } from '../internet/internet.ts'
import { type Letter, type Sending, sendLetter } from '../internet/letter.ts'
import { startProxy, type TestProxy, type Written } from './running-proxy.ts'

/** The proxy, and a hand to send to it. */
export interface ProbingProxy extends TestProxy {
  /** What feedback entered. */
  readonly listings: Listing[]
  send(letter: Partial<Letter> & { readonly from: string }): Promise<Sending>
}

/** Every test enforced, with the waits of a test; `changes` are merged per section. */
export async function startProbingProxy(
  internet: Internet,
  changes: Written = {},
  lists: Partial<ListService> = {},
): Promise<ProbingProxy> {
  const listings: Listing[] = []
  const mailhostPort = Number(internet.mailhost.endpoint.split(':').pop())
  const sections = mergeSections(
    {
      recipients: { domains: ['home.example'] },
      tests: {
        dialup: { mode: 'enforce' },
        relay: { mode: 'enforce' },
        user: { mode: 'enforce' },
      },
      probe: {
        helo: 'mx.home.example',
        sender: 'probe@home.example',
        relay_recipient: 'probe@home.example',
        port: internet.smtpPort,
        connect_wait: '500ms',
        reply_wait: '500ms',
        per_client: '',
        per_domain: '',
        per_host: '',
        per_network: '',
        allow_loopback: true,
      },
      dns: { servers: [internet.nameServer], wait: '300ms', tries: 1 },
    },
    changes,
  )
  const enterDynamic = (listing: Listing): void => {
    listings.push(listing)
  }
  const proxy = await startProxy([mailhostPort], sections, { ...noLists, enterDynamic, ...lists })
  const send = (letter: Partial<Letter> & { readonly from: string }): Promise<Sending> =>
    sendLetter('127.0.0.1', proxy.port, {
      sender: 'anna@good.example',
      recipients: ['postbox@home.example'],
      ...letter,
    })
  return Object.assign(proxy, { listings, send })
}

function mergeSections(base: Written, changes: Written): Written {
  const merged: Record<string, unknown> = { ...base }
  for (const [name, value] of Object.entries(changes)) {
    const before = merged[name]
    const areTables = isTable(before) && isTable(value)
    merged[name] = areTables ? mergeSections(before, value) : value
  }
  return merged
}

function isTable(value: unknown): value is Written {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
