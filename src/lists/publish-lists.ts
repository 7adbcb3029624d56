/**
 * publishLists: what was read becomes one table a kind. Every image is compiled before any is
 * published.
 *
 * Compiling and publishing run on the CPU pool, so that the asking thread only passes numbers on;
 * forms in JavaScript belong to the asking thread and are published there. The blacklist goes
 * first: it alone may have too many classes, and then nothing has changed.
 */
import { resolve } from 'node:path'
import type { IpTable, IpTableForm, IpTableFormName, TableImage } from '../tables/ip-table.ts'
import { buffersOf } from './column-buffers.ts'
import type { CpuPool } from './cpu-pool.ts'
import type { ListKind } from './list-report.ts'
import type { ReadListResult } from './read-list.ts'

/** Tables by what they say of an address. */
export interface IpTables {
  readonly blacklist: IpTable
  readonly trusted: IpTable
  readonly relay: IpTable
  readonly dialup: IpTable
  /** The operator's never-block lists; special-purpose space is not in it. */
  readonly neverBlock: IpTable
}

/** Who compiles, and where files of tables lie. */
export interface PublishParts {
  readonly pool: CpuPool
  /** The form of a table by its name; `folder` is for forms that keep files. */
  readonly formOf: (choice: {
    readonly name: IpTableFormName
    readonly folder: string
  }) => IpTableForm
  /** Folder for forms that keep files (`lists.cache`). */
  readonly cache: string
  /** All images are there and none is published. */
  readonly beforePublish?: () => void
}

const tableKinds: Readonly<Record<keyof IpTables, ListKind>> = {
  blacklist: 'blacklist',
  trusted: 'trusted',
  relay: 'relay',
  dialup: 'dialup',
  neverBlock: 'never_block',
}
const tableNames = Object.keys(tableKinds) as (keyof IpTables)[]

/** Rejects with OperatingError TABLE_…; the previous tables are then as they were. */
export async function publishLists(
  blacklistForm: IpTableFormName,
  parts: PublishParts,
  results: readonly ReadListResult[],
  previous: IpTables | undefined,
): Promise<IpTables> {
  const compiling = tableNames.map((name) => compile(name, blacklistForm, parts, results))
  const settled = await Promise.allSettled(compiling)
  const compiled = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  const failed = settled.find((one) => one.status === 'rejected')
  if (failed !== undefined) {
    for (const { form, image } of compiled) form.discard(image)
    throw failed.reason
  }
  parts.beforePublish?.()
  const native = compiled.filter(({ image }) => image.form === 'prefix')
  const tables: Partial<Record<keyof IpTables, IpTable | undefined>> = {}
  try {
    for (const { name, form, image } of compiled) {
      if (image.form !== 'prefix') tables[name] = placed(form, image, previous?.[name])
    }
  } catch (fault) {
    for (const { form, image } of native) form.discard(image)
    throw fault
  }
  const images = native.map(({ name, image }) => {
    return { handle: nativeHandleOf(previous?.[name]), image }
  })
  const handles = images.length === 0 ? [] : await parts.pool.run('publishImages', { images })
  for (const [at, handle] of (handles as readonly number[]).entries()) {
    const { name, form } = native[at] ?? {}
    if (name === undefined) continue
    const before = previous?.[name]
    tables[name] = before?.handle === handle ? before : form?.own?.(handle)
  }
  return tables as IpTables
}

interface Compiled {
  readonly name: keyof IpTables
  readonly form: IpTableForm
  readonly image: TableImage
}

async function compile(
  name: keyof IpTables,
  blacklistForm: IpTableFormName,
  parts: PublishParts,
  results: readonly ReadListResult[],
): Promise<Compiled> {
  const kind = tableKinds[name]
  const form = kind === 'blacklist' ? blacklistForm : 'prefix'
  const choice = { name: form, folder: resolve(parts.cache, `table-${kind}`) }
  const columns = results.filter((one) => one.report.kind === kind).map((one) => one.columns)
  const task = { form: choice, columns }
  const image = await parts.pool.run('compileTable', task, columns.flatMap(buffersOf))
  return { name, form: parts.formOf(choice), image: image as TableImage }
}

/** The table to publish to; 0 = a new one. */
function nativeHandleOf(before: IpTable | undefined): number {
  return before?.form === 'prefix' ? before.handle : 0
}

/** The table goes on with the new image, unless it is of another form. */
function placed(form: IpTableForm, image: TableImage, before: IpTable | undefined): IpTable {
  if (before === undefined || before.form !== image.form) return form.open(image)
  before.replace(image)
  return before
}
