/**
 * chooseForm: the form of table that the configuration names (`lists.blacklist_form`).
 */
import { loadAddon } from '../addon/addon.ts'
import { bitmap24Form } from './bitmap24-table.ts'
import { hashedForm } from './hashed-table.ts'
import type { IpTableForm, IpTableFormName } from './ip-table.ts'
import { nativeTable } from './native-table.ts'
import { referenceTable } from './reference-table.ts'

/** A form and the folder for its files, fit for structured clone. */
export interface FormChoice {
  readonly name: IpTableFormName
  /** A folder of this table's own, made when missing; `prefix` and `text` need none. */
  readonly folder: string
}

/** The form of that name. `prefix` is `text` where the addon does not load. */
export function chooseForm({ name, folder }: FormChoice): IpTableForm {
  switch (name) {
    case 'bitmap24':
      return bitmap24Form(folder)
    case 'hashed':
      return hashedForm(folder)
    case 'prefix':
      return loadAddon() === undefined ? referenceTable : nativeTable
    case 'text':
      return referenceTable
  }
}
