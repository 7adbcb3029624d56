/**
 * How long do lists take from files to a live table, and does the loop of the main thread stand
 * still? Two threads load on two cores, so the scheduler alone lets a thread wait: an idle control
 * thread shows for how long. The addon is loaded before, as in a process that serves; the first
 * load comes before a process serves, so its turns are shown but not judged.
 *
 * The lists of the real data (58 files, 748,336 lines) and the BGP table (1,062,046 prefixes)
 * through loadLists on a pool of two threads: cold threads first, then warm reloads of the same
 * files. The data lie beside the project; without them that part is left out. Besides, one file of
 * a million made-up addresses.
 */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { loadAddon } from '../src/addon/addon.ts'
import { newCpuPool, type OwnedCpuPool } from '../src/cpu-pool.ts'
import { type LoadedLists, loadLists } from '../src/lists/load-lists.ts'
import { chooseForm } from '../src/tables/choose-form.ts'
import { atMost, type BenchOptions, type BenchResult } from './bench.ts'
import { startControlThread, watchOwnLoop } from './control-thread.ts'
import { median } from './statistics.ts'

const data = resolve('../shared/data')
const limits = {
  coverageMax: 1,
  changeMax: 1,
  shortestPrefix: 8,
  expiresMs: 0,
  format: 'auto',
} as const

/** The question, in the shape that the runner knows. */
export const load = {
  name: 'load',
  title: 'From list files to a live table',
  async run({ isQuick }: BenchOptions): Promise<BenchResult> {
    const folder = mkdtempSync(join(tmpdir(), 'activemx-bench-load-'))
    const pool = newCpuPool(2)
    try {
      loadAddon()
      const real = existsSync(data) ? await loadReal(folder, pool, isQuick ? 2 : 7) : withoutData
      const million = await loadMillion(folder, pool, isQuick ? 3 : 7)
      return {
        measurements: [...real.measurements, ...million.measurements],
        bars: [...real.bars, ...million.bars],
        notes: real.notes,
      }
    } finally {
      await pool.close()
      rmSync(folder, { recursive: true, force: true })
    }
  },
}

const withoutData: BenchResult = {
  measurements: [],
  bars: [],
  notes: ['the real lists do not lie beside the project: left out'],
}

async function loadReal(folder: string, pool: OwnedCpuPool, count: number): Promise<BenchResult> {
  const files = realFiles()
  const control = await startControlThread()
  const trials = await runTrials(files, folder, pool, count)
  const controlMs = await control.stop()
  const [cold, ...reloads] = trials
  const turns = reloads.map((trial) => trial.turnMs)
  const gapMs = Math.max(...reloads.map((trial) => trial.gapMs))
  const group = `${files.length} files, ${cold?.entries} entries`
  const inMs = (name: string, value: number) => ({ group, name, value, unit: 'ms' })
  const measurements = [
    inMs('first load, cold threads', cold?.ms ?? Number.NaN),
    inMs('reload, median', median(reloads.map((trial) => trial.ms))),
    inMs('first load: longest turn of the main loop', cold?.turnMs ?? Number.NaN),
    inMs('reload: longest turn of the main loop, median', median(turns)),
    inMs('reload: longest turn of the main loop, worst', Math.max(...turns)),
    inMs('reload: main thread stood still, worst', gapMs),
    inMs('idle control thread stood still, worst', controlMs),
  ]
  const bars = [
    atMost('first load, ms', cold?.ms ?? Number.NaN, 2000),
    atMost('reload: longest turn of the main loop, median, ms', median(turns), 10),
    atMost('reload: main thread beyond the control thread, ms', gapMs - controlMs, 10),
  ]
  return { measurements, bars, notes: ['the real lists and the BGP table'] }
}

/** One file is read by one thread, however many there are. */
async function loadMillion(
  folder: string,
  pool: OwnedCpuPool,
  count: number,
): Promise<BenchResult> {
  const trials = await runTrials([madeUpFile(folder)], folder, pool, count)
  const [first, ...reloads] = trials
  const value = median(reloads.map((trial) => trial.ms))
  const group = `1 file, ${first?.entries} entries`
  return {
    measurements: [{ group, name: 'from text to a live table, median', value, unit: 'ms' }],
    bars: [atMost('1M from text to a live table, ms', value, 1000)],
    notes: [],
  }
}

interface Trial {
  readonly ms: number
  readonly gapMs: number
  readonly turnMs: number
  readonly entries: number
}

async function runTrials(
  files: readonly string[],
  folder: string,
  pool: OwnedCpuPool,
  count: number,
): Promise<readonly Trial[]> {
  const trials: Trial[] = []
  let loaded: LoadedLists | undefined
  for (let trial = 0; trial < count; trial++) {
    const stopWatching = watchOwnLoop()
    const startMs = performance.now()
    loaded = await loadOnce(files, folder, pool, loaded)
    const ms = performance.now() - startMs
    const stood = stopWatching()
    const { prefixes4, prefixes6 } = loaded.tables.blacklist.sizes()
    trials.push({ ms, ...stood, entries: prefixes4 + prefixes6 })
  }
  loaded?.tables.blacklist.close()
  return trials
}

function loadOnce(
  files: readonly string[],
  folder: string,
  pool: OwnedCpuPool,
  previous: LoadedLists | undefined,
): Promise<LoadedLists> {
  const blacklist = files.map((file, at) => ({ name: `list-${at}`, file, ...limits }))
  const none = { trusted: [], relay: [], dialup: [], neverBlock: [] }
  const config = { allowLoopback: false, keep: 'files', blacklistForm: 'prefix' } as const
  const parts = {
    ...{ pool, formOf: chooseForm, cache: join(folder, 'cache'), store: '' },
    ...{ ownNetworks: [], feedOf: () => undefined },
  }
  return loadLists({ ...config, badLinesMax: 0.01, blacklist, ...none }, parts, previous)
}

function realFiles(): readonly string[] {
  const lists = join(data, 'blocklists')
  const folders = readdirSync(lists, { withFileTypes: true }).filter((one) => one.isDirectory())
  const files = folders.flatMap(({ name }) =>
    readdirSync(join(lists, name)).map((file) => join(lists, name, file)),
  )
  return [...files, join(data, 'prefixes/bart_prefixes.txt.gz')]
}

function madeUpFile(folder: string): string {
  const path = join(folder, 'made-up.netset')
  const lines = Array.from({ length: 1_000_000 }, (_, at) => {
    const value = Math.imul(at + 1, 2_654_435_761) >>> 0
    return `${20 + (value >>> 26)}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}\n`
  })
  writeFileSync(path, lines.join(''))
  return path
}
