/**
 * BlacklistSnapshot: the compiled blacklist on disk, so that a restart with unchanged lists refuses
 * from the first connection on, however long fetching and reading the lists takes.
 *
 * Beside the snapshot stands a stamp: a digest of everything that decides what is in it, settings,
 * our networks and the state of each file. It is taken before the lists are read and written after
 * the snapshot, so whatever changes or fails meanwhile leaves a stamp that fits nothing. Only lists
 * kept as files have one: what lies in the store may be changed without a trace. With it stands the
 * moment from which one of the lists is void; nothing is served beyond it.
 */
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, rmSync, statSync } from 'node:fs'
import { Turns } from '../base/turns.ts'
import { allMailhosts } from '../config/mailhosts.ts'
import type { Config } from '../config/schema.ts'
import { writeDurable } from '../files/durable-file.ts'
import type { CpuPool } from '../lists/cpu-pool.ts'
import type { IpTable, TableImage } from '../tables/ip-table.ts'

/** Below this the provenance of a table takes less than half a megabyte, and its lists a moment. */
const prefixesMin = 65_536

/** A blacklist as it was saved. */
export interface KeptBlacklist {
  readonly image: TableImage
  /** Then one of its lists is void. Milliseconds since 1970. */
  readonly validUntilMs: number
}

/** The snapshot of one instance, in its cache folder. */
export class BlacklistSnapshot {
  readonly #path: string
  readonly #stampPath: string
  readonly #turns = new Turns()

  constructor(folder: string) {
    this.#path = `${folder}/table-blacklist.snapshot`
    this.#stampPath = `${folder}/table-blacklist.stamp`
  }

  /**
   * The image, checked, where it was made of what the stamp says; else undefined. Rejects with
   * OperatingError SNAPSHOT_DAMAGED, SNAPSHOT_FOREIGN, SNAPSHOT_UNREADABLE.
   */
  async load(pool: CpuPool, stamp: string): Promise<KeptBlacklist | undefined> {
    if (stamp === '' || !existsSync(this.#stampPath)) return undefined
    const [kept = '', end = ''] = readFileSync(this.#stampPath, 'utf8').split(' ')
    const validUntilMs = Number(end)
    if (kept !== stamp || !(Date.now() < validUntilMs)) return undefined
    const image = (await pool.run('loadImage', { path: this.#path })) as TableImage
    return { image, validUntilMs }
  }

  /**
   * Writes the table; from then on its files and lines lie there and no longer in memory. A table
   * of another form, or a small one, has no snapshot. Rejects with OperatingError
   * SNAPSHOT_UNWRITABLE. @param validUntilMs milliseconds since 1970
   */
  save(pool: CpuPool, table: IpTable, stamp: string, validUntilMs: number): Promise<void> {
    return this.#turns.take(async () => {
      rmSync(this.#stampPath, { force: true })
      const { prefixes4, prefixes6 } = table.sizes()
      if (table.form !== 'prefix' || prefixes4 + prefixes6 < prefixesMin) return
      await pool.run('saveTable', { handle: table.handle, path: this.#path })
      if (stamp === '') return
      writeDurable(this.#stampPath, [Buffer.from(`${stamp} ${validUntilMs}`)])
    })
  }
}

/** What the blacklist is made of, as a digest; '' = a snapshot cannot stand for it. */
export function stampOf(config: Config, pathOf: (file: string) => string): string {
  const { lists } = config
  if (lists.keep !== 'files' || lists.blacklistForm !== 'prefix') return ''
  if (lists.blacklist.length === 0) return ''
  const files = [...lists.blacklist, ...lists.neverBlock].map(({ file }) => stateOf(pathOf(file)))
  const content = JSON.stringify([lists, allMailhosts(config), files])
  return createHash('sha256').update(content).digest('hex')
}

/** The time of the last change of the file itself tells of a new content with an old date, too. */
function stateOf(path: string): readonly string[] {
  try {
    const { size, ino, ctimeNs } = statSync(path, { bigint: true })
    return [path, String(size), String(ino), String(ctimeNs)]
  } catch {
    // The load tells what is wrong with it; the other lists do not wait for that.
    return [path]
  }
}
