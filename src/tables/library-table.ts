/**
 * The tables as the library gives them: a type, and under the same name the ways to make one.
 *
 * An IpTable is native, or the reference where the addon does not load: the same answers, slower.
 */
import { type AddressTable as AddressFace, newAddressTable } from './address-table.ts'
import { chooseForm } from './choose-form.ts'
import type { IpTable as IpFace, IpTableForm } from './ip-table.ts'
import { openAddressTable } from './stored-address-table.ts'

/** Which lists hold an IP address. */
export type IpTable = IpFace

/** Makes tables: from prefixes, from columns, from a snapshot. */
export const IpTable: Pick<IpTableForm, 'fromPrefixes' | 'fromColumns' | 'load'> = chooseForm({
  name: 'prefix',
  folder: '',
})

/** E-mail addresses, each with its time. */
export type AddressTable = AddressFace

/** Makes tables of addresses: in memory, or in a store that outlives the process. */
export const AddressTable = { inMemory: newAddressTable, open: openAddressTable } as const
