/**
 * chooseForm: the form of table that the configuration names (`lists.blacklist_form`).
 *
 * Where the addon loads, every form is native or has a native mirror, so that the native gate
 * serves it.
 */
import { loadAddon } from '../addon/addon.ts'
import { bitmap24Form, widening24 } from './bitmap24-table.ts'
import { hashedForm } from './hashed-table.ts'
import type { IpTableForm, IpTableFormName } from './ip-table.ts'
import { mirroredForm } from './mirrored-table.ts'
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
  const isNative = loadAddon() !== undefined
  switch (name) {
    case 'bitmap24': {
      const form = bitmap24Form(folder)
      return isNative ? mirroredForm(form, widening24) : form
    }
    case 'hashed': {
      const form = hashedForm(folder)
      return isNative ? mirroredForm(form) : form
    }
    case 'prefix':
      return isNative ? nativeTable : referenceTable
    case 'text':
      return isNative ? mirroredForm(referenceTable) : referenceTable
  }
}
