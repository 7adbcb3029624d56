/**
 * The reference table: the `text` form, slow and obvious, and the proof of every other form.
 *
 * It serves where the addon does not load. Columns are kept as they came.
 */
import type { PrefixColumns } from '../base/prefix-columns.ts'
import { ColumnPrefixes } from './column-prefixes.ts'
import { columnsOf } from './entries.ts'
import type { IpTableForm } from './ip-table.ts'
import { type JudgedForm, JudgedTable } from './judged-table.ts'
import { readTextSnapshot } from './text-snapshot.ts'

const kind: JudgedForm = {
  form: 'text',
  openContent: (content) => new ColumnPrefixes(content as PrefixColumns),
}

const fromColumns = (columns: PrefixColumns) =>
  new JudgedTable(kind, { form: 'text', content: columns })

/** The `text` form. */
export const referenceTable: IpTableForm = {
  form: 'text',
  fromPrefixes: (entries) => fromColumns(columnsOf(entries)),
  fromColumns,
  compile: (columns) => ({ form: 'text', content: columns }),
  open: (image) => new JudgedTable(kind, image),
  discard: () => {},
  load: (path) => fromColumns(readTextSnapshot(path)),
}
