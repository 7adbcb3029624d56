/**
 * The IP table as the library gives it: a type, and under the same name the ways to make one.
 *
 * Native, or the reference where the addon does not load: the same answers, slower.
 */
import { chooseForm } from './choose-form.ts'
import type { IpTable as IpFace, IpTableForm } from './ip-table.ts'

/** Which lists hold an IP address. */
export type IpTable = IpFace

/** Makes tables: from prefixes, from columns, from a snapshot. */
export const IpTable: Pick<IpTableForm, 'fromPrefixes' | 'fromColumns' | 'load'> = chooseForm({
  name: 'prefix',
  folder: '',
})
