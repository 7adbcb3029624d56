/**
 * A proxy in front of a loopback internet's mailhost, with its probes pointed at that internet and
 * its lists in files, as an operator has them. On the native gate, engine and threads, or on the
 * twins.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DynamicEntry } from '../../src/store/dynamic-list.ts'
import type { Internet } from '../internet/internet.ts'
import { type Letter, type Sending, sendLetter } from '../internet/letter.ts'
import { startProxy, type TestProxy, type Written } from './running-proxy.ts'

/** The lists of an operator, one entry a line. */
export type ListTexts = Partial<
  Record<'trusted' | 'blacklist' | 'relay' | 'dialup' | 'never_block', readonly string[]>
>

/** How the proxy is made. */
export interface ProbingParts {
  /** Merged into the settings per section. */
  readonly changes?: Written
  readonly lists?: ListTexts
  readonly whitelist?: readonly string[]
  /** False: the twins on the test's own thread. */
  readonly isNative?: boolean
  /** A folder that outlives the proxy, for a restart; else it has one of its own. */
  readonly folder?: string
}

/** The proxy, and a hand to send to it. */
export interface ProbingProxy extends TestProxy {
  /** What is in the list `dynamic` now: `prefix reason`, in order of entry. */
  listings(): readonly string[]
  /** The records of one event, once there are at least so many. */
  recordsOf(event: string): readonly Record<string, unknown>[]
  send(letter: Partial<Letter> & { readonly from: string }): Promise<Sending>
}

/** Every test enforced, with the waits of a test. */
export async function startProbingProxy(
  internet: Internet,
  { changes = {}, lists = {}, whitelist = [], isNative = true, folder: given }: ProbingParts = {},
): Promise<ProbingProxy> {
  const folder = given ?? mkdtempSync(join(tmpdir(), 'activemx-probing-'))
  const mailhostPort = Number(internet.mailhost.endpoint.split(':').pop())
  const sections = mergeSections(
    mergeSections(probingSettings(internet), { lists: writeLists(folder, lists) }),
    changes,
  )
  const proxy = await startProxy([mailhostPort], sections, { isNative, folder })
  for (const address of whitelist) proxy.learnt?.whitelist.add(address, 'operator', Date.now())
  const end = async (): Promise<void> => {
    await proxy.end()
    if (given === undefined) rmSync(folder, { recursive: true, force: true })
  }
  const send = (letter: Partial<Letter> & { readonly from: string }): Promise<Sending> =>
    sendLetter('127.0.0.1', proxy.port, {
      sender: 'anna@good.example',
      recipients: ['postbox@home.example'],
      ...letter,
    })
  const listings = (): readonly string[] => {
    proxy.learnt?.store.flush()
    const entries: DynamicEntry[] = [...(proxy.learnt?.dynamic.entries(Date.now()) ?? [])]
    return entries
      .toSorted((one, other) => one.addedAtMs - other.addedAtMs)
      .map(({ prefix, reason }) => `${prefix} ${reason}`)
  }
  const recordsOf = (event: string) => proxy.records().filter((record) => record['event'] === event)
  return { ...proxy, listings, recordsOf, send, end }
}

/** What every probing proxy of the tests has in common. */
export function probingSettings(internet: Internet): Written {
  return {
    recipients: { domains: ['home.example'] },
    lists: { allow_loopback: true },
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
    feedback: { findings: 1 },
    dns: { servers: [internet.nameServer], wait: '300ms', tries: 1 },
  }
}

function writeLists(folder: string, lists: ListTexts): Written {
  mkdirSync(join(folder, 'lists'), { recursive: true })
  const tables = Object.entries(lists).map(([name, lines]) => {
    const file = join(folder, 'lists', `${name}.txt`)
    writeFileSync(file, `${lines.join('\n')}\n`)
    return [name, [{ file }]] as const
  })
  return Object.fromEntries(tables)
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
