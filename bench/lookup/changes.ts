/**
 * How long a change takes: building, swapping, and until another thread sees it.
 *
 * The watcher is a thread that asks without a pause. Between two changes this thread sleeps, so
 * that on two cores the thread that frees the old image does not take the watcher's turn: what is
 * measured is the change, not three threads on two cores.
 */
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import type { PrefixColumns } from '../../src/base/prefix-columns.ts'
import { columnsOf } from '../../src/tables/entries.ts'
import type { TableImage } from '../../src/tables/ip-table.ts'
import { type NativeIpTable, nativeTable, repeatImage } from '../../src/tables/native-table.ts'
import { type Spread, spreadOf } from '../statistics.ts'

const watched = '100.64.7.7'
/** Between two changes. */
const pauseMs = 10
/** After a swap: until the old image is freed. */
const freeMs = 100

/** The watcher's words: what it last saw of the watched address, its longest gap since cleared. */
const word = { ready: 0, seen: 1, stop: 2, gapUs: 3 } as const
/** What it saw. */
const seenUnlisted = 1
const seenListed = 2

/**
 * Asks for one address without a pause. Without a table it asks nothing: its gaps are the
 * machine's.
 */
const watcherCode = `
  const { workerData } = require('node:worker_threads')
  import(workerData.module).then(({ attachNativeTable }) => {
    const { notes, word, handle } = workerData
    const table = handle === 0 ? { lookupClass4: () => 0 } : attachNativeTable(handle)
    let last = performance.now()
    Atomics.store(notes, word.ready, 1)
    while (Atomics.load(notes, word.stop) === 0) {
      Atomics.store(notes, word.seen, table.lookupClass4(0x64400707) === 0 ? 1 : 2)
      const now = performance.now()
      const gap = Math.round((now - last) * 1000)
      if (gap > Atomics.load(notes, word.gapUs)) Atomics.store(notes, word.gapUs, gap)
      last = now
    }
  })`

/** Milliseconds of each kind of change. */
export interface ChangeTimes {
  readonly build: Spread
  /** The call of the swap. */
  readonly swap: Spread
  /** From the call of the swap until another thread answers from the new image. */
  readonly swapSeen: Spread
  readonly addSeen: Spread
  /** The longest gap of a reader around each swap. */
  readonly gap: Spread
  /** The same of a thread that asks nothing while nothing is swapped. */
  readonly controlGap: Spread
}

/** Builds three times, then swaps and adds while another thread watches. */
export async function measureChanges(columns: PrefixColumns, rounds: number): Promise<ChangeTimes> {
  const table = nativeTable.fromPrefixes([])
  const builds = [0, 1, 2].map(() =>
    timeMs(() => nativeTable.discard(nativeTable.compile(columns))),
  )
  const whole = nativeTable.compile(columns)
  const other = nativeTable.compile(columnsOf([{ prefix: watched, list: 'watched' }]))
  const watcher = await startWatcher(table.handle)
  const swaps = await swapAnew(table, columns, watcher.notes, rounds)
  const seen = await swapAndWait(table, { watched: other, whole }, watcher.notes, rounds)
  const adds = await addAndWait(table, watcher.notes, rounds)
  await watcher.stop()
  const controlGap = await gapsOfControl(rounds)
  nativeTable.discard(whole)
  nativeTable.discard(other)
  table.close()
  return {
    build: spreadOf(builds),
    swap: spreadOf(swaps.calls),
    swapSeen: spreadOf(seen),
    addSeen: spreadOf(adds),
    gap: spreadOf(swaps.gaps),
    controlGap: spreadOf(controlGap),
  }
}

/**
 * Swaps from the prefixes to nine tenths of them and back, each compiled for its swap, and the one
 * before is freed: milliseconds of each call, and of the reader's longest gap until then.
 */
async function swapAnew(
  table: NativeIpTable,
  columns: PrefixColumns,
  notes: Int32Array,
  rounds: number,
): Promise<{ calls: number[]; gaps: number[] }> {
  const fewer = mostOf(columns)
  const calls: number[] = []
  const gaps: number[] = []
  for (let round = 0; round < rounds; round++) {
    const next = nativeTable.compile(round % 2 === 0 ? columns : fewer)
    await sleep(pauseMs)
    Atomics.store(notes, word.gapUs, 0)
    calls.push(timeMs(() => table.replace(next)))
    await sleep(freeMs)
    gaps.push(Atomics.load(notes, word.gapUs) / 1000)
  }
  return { calls, gaps }
}

/** The first nine tenths. */
function mostOf({ v4, v6, ...names }: PrefixColumns): PrefixColumns {
  const part = (count: number) => Math.ceil(count * 0.9)
  return {
    ...names,
    v4: { ...v4, count: part(v4.count) },
    v6: { ...v6, count: part(v6.count) },
  }
}

/** The longest gap of a thread that asks nothing, in as many and as long stretches. */
async function gapsOfControl(rounds: number): Promise<readonly number[]> {
  const control = await startWatcher(0)
  const gaps: number[] = []
  for (let round = 0; round < rounds; round++) {
    await sleep(pauseMs)
    Atomics.store(control.notes, word.gapUs, 0)
    await sleep(freeMs)
    gaps.push(Atomics.load(control.notes, word.gapUs) / 1000)
  }
  await control.stop()
  return gaps
}

interface SwapImages {
  readonly watched: TableImage
  readonly whole: TableImage
}

/**
 * Swaps to an image that lists the watched address alone, and back: milliseconds until each is
 * seen.
 */
async function swapAndWait(
  table: NativeIpTable,
  images: SwapImages,
  notes: Int32Array,
  rounds: number,
): Promise<readonly number[]> {
  const times: number[] = []
  for (let round = 0; round < rounds; round++) {
    const watchedImage = repeatImage(images.watched)
    const whole = repeatImage(images.whole)
    times.push(timeUntilSeen(notes, seenListed, () => table.replace(watchedImage)))
    await sleep(pauseMs)
    times.push(timeUntilSeen(notes, seenUnlisted, () => table.replace(whole)))
    await sleep(pauseMs)
  }
  return times
}

/** Adds the watched address and removes it: milliseconds until each is seen. */
async function addAndWait(
  table: NativeIpTable,
  notes: Int32Array,
  rounds: number,
): Promise<readonly number[]> {
  const times: number[] = []
  const ttlMs = 60_000
  const add = () => table.add(watched, { list: 'dynamic', ttlMs })
  const remove = () => table.remove(watched, { ttlMs })
  for (let round = 0; round < rounds; round++) {
    times.push(timeUntilSeen(notes, seenListed, add), timeUntilSeen(notes, seenUnlisted, remove))
    await sleep(1)
  }
  return times
}

function timeMs(work: () => void): number {
  const start = performance.now()
  work()
  return performance.now() - start
}

function timeUntilSeen(notes: Int32Array, note: number, change: () => void): number {
  return timeMs(() => {
    change()
    while (Atomics.load(notes, word.seen) !== note);
  })
}

/** @param handle of the table that is watched; 0 = none */
async function startWatcher(handle: number) {
  const notes = new Int32Array(new SharedArrayBuffer(16))
  const module = new URL('../../src/tables/native-table.js', import.meta.url).href
  const workerData = { module, handle, notes, word }
  const worker = new Worker(watcherCode, { eval: true, workerData })
  const ended = once(worker, 'exit')
  while (Atomics.load(notes, word.ready) === 0) await sleep(5)
  const stop = async (): Promise<void> => {
    Atomics.store(notes, word.stop, 1)
    await ended
  }
  return { notes, stop }
}
