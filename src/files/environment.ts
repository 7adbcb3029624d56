/**
 * The LMDB environment of an instance: one folder, opened alike by whoever shares it.
 *
 * Threads of a process that open the same folder share one environment; processes share its files.
 * Each named database in it has one owner: src/store/ for what is learnt, src/lists/ for the octets
 * of lists (`lists.keep = "store"`). Checking a file before LMDB maps it is
 * src/store/open-store.ts's.
 */
import { open, type RootDatabase } from 'lmdb'

/** Named databases of the environment; above: an error when it is opened. Thirteen are in use. */
const databasesMax = 32

/** Opens or makes it. @param readersMax read transactions at once, all threads and processes. */
export function openEnvironment(folder: string, readersMax: number): RootDatabase {
  return open({
    path: folder,
    // Else a folder whose name has a dot would be taken for a file.
    noSubdir: false,
    maxDbs: databasesMax,
    maxReaders: readersMax,
    compression: false,
    // Every commit is synced before it counts: a power cut leaves an earlier commit, never a
    // mixture.
    overlappingSync: false,
  })
}
