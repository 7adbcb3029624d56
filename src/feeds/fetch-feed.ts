/**
 * fetchFeed: one https feed into a file, if it has changed.
 *
 * What is fetched is not believed here: it is written whole beside its state, and the loader parses
 * and guards it. A conditional request (ETag, Last-Modified) costs nothing when the feed did not
 * change. Sizes, times and redirects are bounded; a redirect may not leave https. On any fault the
 * file stays as it was.
 */
import { mkdir, readFile } from 'node:fs/promises'
import { get as getPlain, type IncomingMessage } from 'node:http'
import { get as getSecure } from 'node:https'
import { dirname } from 'node:path'
import { messageOf, OperatingError } from '../base/errors.ts'
import { feedOctetsMax, feedRedirectsMax, feedWaitMs } from '../base/limits.ts'
import { writeDurableAsync } from '../files/durable-file.ts'

/** What is remembered of a feed beside its file. */
export interface StoredFeed {
  readonly url: string
  readonly etag: string
  readonly lastModified: string
  /** Milliseconds since 1970 of the last good answer, also of "not changed"; 0 = never. */
  readonly fetchedMs: number
}

/** How to fetch. */
export interface FetchOptions {
  /** Where the feed's octets go; its state goes to the same path with `.json`. */
  readonly path: string
  /** PEM of the authorities to trust; '' = the system's. */
  readonly ca?: string
  /** Tests only: lets http:// to loopback pass. */
  readonly allowPlainLoopback?: boolean
  /** Milliseconds since 1970; absent = now. */
  readonly wallMs?: number
  /** Octets as sent, packed or not; absent = the limit. */
  readonly octetsMax?: number
  readonly signal?: AbortSignal
}

/** What came of it. */
export type FetchOutcome =
  | { readonly kind: 'changed'; readonly octets: number }
  | { readonly kind: 'unchanged' }

/**
 * Fetches. Rejects with OperatingError FEED_URL, FEED_STATUS, FEED_TOO_LARGE, FEED_UNREACHABLE,
 * FILE_WRITE.
 */
export async function fetchFeed(url: string, options: FetchOptions): Promise<FetchOutcome> {
  const wallMs = options.wallMs ?? Date.now()
  const before = await readFeedState(options.path)
  const known = before?.url === url ? before : undefined
  const answer = await requestFollowing(url, known, options)
  if (answer.statusCode === 304 && known !== undefined) {
    answer.resume()
    await writeState(options.path, { ...known, fetchedMs: wallMs })
    return { kind: 'unchanged' }
  }
  if (answer.statusCode !== 200) {
    answer.destroy()
    throw feedFault('FEED_STATUS', url, `answered with status ${answer.statusCode}`)
  }
  const octets = await readWhole(url, answer, options.octetsMax ?? feedOctetsMax)
  await mkdir(dirname(options.path), { recursive: true })
  await writeDurableAsync(options.path, octets)
  const { etag = '', 'last-modified': lastModified = '' } = answer.headers
  await writeState(options.path, { url, etag, lastModified, fetchedMs: wallMs })
  return { kind: 'changed', octets: octets.length }
}

/** The state beside a feed's file; undefined where there is none or it cannot be read. */
export async function readFeedState(path: string): Promise<StoredFeed | undefined> {
  try {
    const state: unknown = JSON.parse(await readFile(`${path}.json`, 'utf8'))
    return isStoredFeed(state) ? state : undefined
  } catch {
    // Never fetched, or the state was damaged: the whole feed is asked for again.
    return undefined
  }
}

function isStoredFeed(state: unknown): state is StoredFeed {
  if (typeof state !== 'object' || state === null) return false
  const { url, etag, lastModified, fetchedMs } = state as Record<string, unknown>
  const areTexts = [url, etag, lastModified].every((value) => typeof value === 'string')
  return areTexts && typeof fetchedMs === 'number'
}

function writeState(path: string, state: StoredFeed): Promise<void> {
  return writeDurableAsync(`${path}.json`, Buffer.from(JSON.stringify(state)))
}

async function requestFollowing(
  url: string,
  known: StoredFeed | undefined,
  options: FetchOptions,
): Promise<IncomingMessage> {
  let target = url
  for (let redirects = 0; redirects <= feedRedirectsMax; redirects++) {
    const answer = await request(url, checkedUrl(target, options), known, options)
    const { location } = answer.headers
    const isRedirect = [301, 302, 303, 307, 308].includes(answer.statusCode ?? 0)
    if (!isRedirect || location === undefined) return answer
    answer.resume()
    target = new URL(location, target).href
  }
  throw feedFault('FEED_STATUS', url, `redirects more than ${feedRedirectsMax} times`)
}

function checkedUrl(target: string, options: FetchOptions): URL {
  const url = URL.canParse(target) ? new URL(target) : undefined
  const isLoopback = url?.hostname === '127.0.0.1' || url?.hostname === '[::1]'
  const isPlainAllowed = options.allowPlainLoopback === true && isLoopback
  if (url?.protocol === 'https:') return url
  if (url?.protocol === 'http:' && isPlainAllowed) return url
  throw new OperatingError('FEED_URL', `feed ${target}: not an https:// address; write one`)
}

function request(
  feed: string,
  url: URL,
  known: StoredFeed | undefined,
  options: FetchOptions,
): Promise<IncomingMessage> {
  const headers: Record<string, string> = {
    'user-agent': 'activemx',
    'accept-encoding': 'identity',
  }
  if (known !== undefined && known.etag !== '') headers['if-none-match'] = known.etag
  if (known !== undefined && known.lastModified !== '') {
    headers['if-modified-since'] = known.lastModified
  }
  const ending = options.signal === undefined ? {} : { signal: options.signal }
  const secure = options.ca === undefined || options.ca === '' ? {} : { ca: options.ca }
  return new Promise((resolve, reject) => {
    const get = url.protocol === 'https:' ? getSecure : getPlain
    const asked = get(url, { headers, ...ending, ...secure }, resolve)
    // A timer of ours: what AbortSignal.any() joins may be collected before its time.
    const late = new Error(`no whole answer in ${feedWaitMs / 1000} s`)
    const timer = setTimeout(() => asked.destroy(late), feedWaitMs)
    asked.on('close', () => clearTimeout(timer))
    asked.on('error', (fault) => reject(unreachable(feed, fault)))
  })
}

async function readWhole(
  feed: string,
  answer: IncomingMessage,
  octetsMax: number,
): Promise<Buffer> {
  const chunks: Buffer[] = []
  let octets = 0
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      octets += chunk.length
      if (octets > octetsMax) break
      chunks.push(chunk)
    }
  } catch (fault) {
    throw unreachable(feed, fault)
  }
  if (octets > octetsMax) {
    throw feedFault('FEED_TOO_LARGE', feed, `has more than ${octetsMax} octets`)
  }
  return Buffer.concat(chunks)
}

function unreachable(feed: string, fault: unknown): OperatingError {
  return feedFault('FEED_UNREACHABLE', feed, `not fetched: ${messageOf(fault)}`)
}

function feedFault(code: string, feed: string, what: string): OperatingError {
  return new OperatingError(code, `feed ${feed}: ${what}; what was fetched last, if any, goes on`)
}
