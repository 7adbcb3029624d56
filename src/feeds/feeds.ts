/**
 * Feeds: the https lists of a configuration, fetched when they are due.
 *
 * A feed's file lies in the cache folder under a name made of its address, so that two lists may
 * share one feed and a changed address never serves the old list's content. `refresh()` is called
 * by whoever keeps time; several calls at once fetch each feed once.
 */
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { messageOf } from '../base/errors.ts'
import { feedsAtOnceMax } from '../base/limits.ts'
import type { FeedFetch } from '../lists/list-report.ts'
import type { FeedState } from '../lists/load-lists.ts'
import { type FetchOptions, fetchFeed } from './fetch-feed.ts'

/** A feed of the configuration. */
export interface FeedConfig {
  readonly url: string
  readonly everyMs: number
}

/** What a refresh did with one feed. */
export interface FeedReport extends FeedFetch {
  readonly url: string
}

/** The feeds of one cache folder. */
export class Feeds {
  readonly #folder: string
  readonly #options: Omit<FetchOptions, 'path' | 'wallMs' | 'signal'>
  /** By address, since the start: a fault stands until the feed is fetched again. */
  readonly #last = new Map<string, FeedFetch>()
  readonly #running = new Map<string, Promise<FeedReport>>()
  readonly #ending = new AbortController()

  constructor(folder: string, options: Omit<FetchOptions, 'path' | 'wallMs' | 'signal'> = {}) {
    this.#folder = folder
    this.#options = options
  }

  /** Whether a configured `file` is a feed. */
  static isFeed(file: string): boolean {
    return /^https?:\/\//i.test(file)
  }

  /** The state of a configured `file`, for loadLists; undefined = it is no feed. */
  stateOf(file: string): FeedState | undefined {
    if (!Feeds.isFeed(file)) return undefined
    const path = this.#pathOf(file)
    return { path, fetchedMs: fetchedMsOf(path), lastFetch: this.#last.get(file) }
  }

  /** Fetches the feeds that are due. Never rejects: a fault is a report. */
  async refresh(
    feeds: readonly FeedConfig[],
    wallMs: number = Date.now(),
  ): Promise<readonly FeedReport[]> {
    const due = feeds.filter(({ url, everyMs }) => this.#isDue(url, everyMs, wallMs))
    const urls = [...new Set(due.map((feed) => feed.url))]
    const reports: FeedReport[] = []
    const fetchNext = async (): Promise<void> => {
      for (let url = urls.shift(); url !== undefined; url = urls.shift()) {
        reports.push(await this.#fetchOnce(url, wallMs))
      }
    }
    await Promise.all(Array.from({ length: feedsAtOnceMax }, fetchNext))
    return reports
  }

  /** Is a fetch under way? */
  get isFetching(): boolean {
    return this.#running.size > 0
  }

  /** Ends what runs, and lets nothing begin. */
  close(): void {
    this.#ending.abort()
  }

  #isDue(url: string, everyMs: number, wallMs: number): boolean {
    const fetchedMs = fetchedMsOf(this.#pathOf(url))
    // Of the future: the wall clock was set back, and how old it is nobody knows.
    return fetchedMs === 0 || fetchedMs > wallMs || fetchedMs + everyMs <= wallMs
  }

  #fetchOnce(url: string, wallMs: number): Promise<FeedReport> {
    const running = this.#running.get(url)
    if (running !== undefined) return running
    const fetching = this.#fetch(url, wallMs).finally(() => this.#running.delete(url))
    this.#running.set(url, fetching)
    return fetching
  }

  async #fetch(url: string, wallMs: number): Promise<FeedReport> {
    const fetch = await this.#outcomeOf(url, wallMs)
    this.#last.set(url, fetch)
    return { url, ...fetch }
  }

  async #outcomeOf(url: string, wallMs: number): Promise<FeedFetch> {
    try {
      const { signal } = this.#ending
      const options = { ...this.#options, signal, path: this.#pathOf(url), wallMs }
      return { outcome: (await fetchFeed(url, options)).kind, fault: '' }
    } catch (fault) {
      return { outcome: 'failed', fault: messageOf(fault) }
    }
  }

  #pathOf(url: string): string {
    const digest = createHash('sha256').update(url).digest('hex').slice(0, 32)
    return join(this.#folder, `feed-${digest}`)
  }
}

/** Read without waiting: states are small, and a load asks for few of them. */
function fetchedMsOf(path: string): number {
  const state = `${path}.json`
  if (!existsSync(state)) return 0
  try {
    const { fetchedMs } = JSON.parse(readFileSync(state, 'utf8')) as { fetchedMs?: unknown }
    return typeof fetchedMs === 'number' ? fetchedMs : 0
  } catch {
    // A damaged state means: not fetched yet, so the feed is due.
    return 0
  }
}
