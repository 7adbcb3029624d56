/**
 * How long a change takes: building, swapping, and until another thread sees it.
 */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { PrefixColumns } from '../../src/base/prefix-columns.ts'
import { columnsOf } from '../../src/tables/entries.ts'
import type { TableImage } from '../../src/tables/ip-table.ts'
import { type NativeIpTable, nativeTable, repeatImage } from '../../src/tables/native-table.ts'
import { median } from '../statistics.ts'

const watched = '100.64.7.7'
/** What the watcher notes of the watched address. */
const seenUnlisted = 1
const seenListed = 2

/**
 * A thread that asks for one address without a pause, notes each change of the answer and its own
 * longest gap. Without a table it asks nothing: its gaps are the machine's.
 */
const watcherCode = `
  const { workerData } = require('node:worker_threads')
  import(workerData.module).then(({ attachNativeTable }) => {
    const table = workerData.handle === 0
      ? { lookupClass4: () => 0 }
      : attachNativeTable(workerData.handle)
    const notes = workerData.notes
    let last = performance.now()
    let longest = 0
    Atomics.store(notes, 0, 1)
    while (Atomics.load(notes, 2) === 0) {
      Atomics.store(notes, 1, table.lookupClass4(0x64400707) === 0 ? 1 : 2)
      const now = performance.now()
      longest = Math.max(longest, now - last)
      last = now
    }
    Atomics.store(notes, 3, Math.round(longest * 1000))
  })`

interface SwapImages {
  readonly watched: TableImage
  readonly whole: TableImage
}

/** Milliseconds of each kind of change; medians and worst of `rounds`. */
export interface ChangeTimes {
  readonly buildMs: number
  readonly swapMs: number
  readonly swapWorstMs: number
  /** From the call of the swap until another thread answers from the new image. */
  readonly swapSeenMs: number
  readonly swapSeenWorstMs: number
  readonly addSeenMs: number
  readonly addSeenWorstMs: number
  readonly longestGapMs: number
  /** The same of a thread that asks nothing, over as long a time beside as busy a thread. */
  readonly controlGapMs: number
}

/** Builds once, then swaps and adds while another thread watches. */
export async function measureChanges(columns: PrefixColumns, rounds: number): Promise<ChangeTimes> {
  const table = nativeTable.fromPrefixes([])
  const builds = [0, 1, 2].map(() =>
    timeMs(() => nativeTable.discard(nativeTable.compile(columns))),
  )
  const image = nativeTable.compile(columns)
  const watchedImage = nativeTable.compile(columnsOf([{ prefix: watched, list: 'watched' }]))
  const watcher = await startWatcher(table.handle)
  const start = performance.now()
  const swaps: number[] = []
  const seen: number[] = []
  const adds: number[] = []
  for (let round = 0; round < rounds; round++) {
    const next = repeatImage(image)
    swaps.push(timeMs(() => table.replace(next)))
    const images = { watched: repeatImage(watchedImage), whole: repeatImage(image) }
    seen.push(...swapAndWait(table, images, watcher.notes))
  }
  for (let round = 0; round < rounds; round++) {
    adds.push(...changeAndWait(table, watcher.notes))
  }
  const tookMs = performance.now() - start
  const longestGapMs = await watcher.stop()
  const controlGapMs = await gapOfControl(tookMs)
  nativeTable.discard(image)
  nativeTable.discard(watchedImage)
  table.close()
  return {
    buildMs: median(builds),
    swapMs: median(swaps),
    swapWorstMs: Math.max(...swaps),
    swapSeenMs: median(seen),
    swapSeenWorstMs: Math.max(...seen),
    addSeenMs: median(adds),
    addSeenWorstMs: Math.max(...adds),
    longestGapMs,
    controlGapMs,
  }
}

/** The longest gap of a thread that asks nothing while this one spins for as long. */
async function gapOfControl(spinMs: number): Promise<number> {
  const control = await startWatcher(0)
  const end = performance.now() + spinMs
  while (performance.now() < end);
  return control.stop()
}

function timeMs(work: () => void): number {
  const start = performance.now()
  work()
  return performance.now() - start
}

/**
 * Swaps to an image that lists the watched address alone, and back: milliseconds until each is
 * seen.
 */
function swapAndWait(
  table: NativeIpTable,
  images: SwapImages,
  notes: Int32Array,
): readonly number[] {
  return [
    timeUntilSeen(notes, seenListed, () => table.replace(images.watched)),
    timeUntilSeen(notes, seenUnlisted, () => table.replace(images.whole)),
  ]
}

/** Adds the watched address and removes it: milliseconds until each is seen. */
function changeAndWait(table: NativeIpTable, notes: Int32Array): readonly number[] {
  return [
    timeUntilSeen(notes, seenListed, () => table.add(watched, { list: 'dynamic', ttlMs: 60_000 })),
    timeUntilSeen(notes, seenUnlisted, () => table.remove(watched, { ttlMs: 60_000 })),
  ]
}

function timeUntilSeen(notes: Int32Array, note: number, change: () => void): number {
  return timeMs(() => {
    change()
    while (Atomics.load(notes, 1) !== note);
  })
}

/** @param handle of the table that is watched; 0 = none */
async function startWatcher(handle: number) {
  const notes = new Int32Array(new SharedArrayBuffer(16))
  const module = new URL('../../src/tables/native-table.js', import.meta.url).href
  const workerData = { module, handle, notes }
  const worker = new Worker(watcherCode, { eval: true, workerData })
  const ended = once(worker, 'exit')
  while (Atomics.load(notes, 0) === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  const stop = async (): Promise<number> => {
    Atomics.store(notes, 2, 1)
    await ended
    return Atomics.load(notes, 3) / 1000
  }
  return { notes, stop }
}
