/**
 * The table of e-mail addresses as the library gives it: a type, and under the same name the ways
 * to make one.
 */
import { type AddressTable as AddressFace, newAddressTable } from '../tables/address-table.ts'
import { openAddressTable } from './stored-address-table.ts'

/** E-mail addresses, each with its time. */
export type AddressTable = AddressFace

/** Makes tables of addresses: in memory, or in a store that outlives the process. */
export const AddressTable = { inMemory: newAddressTable, open: openAddressTable } as const
