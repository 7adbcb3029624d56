/**
 * compileTable: columns of many lists become one image. A task of the CPU pool.
 */
import { type PrefixColumns, PrefixColumnsBuilder } from '../base/prefix-columns.ts'
import { chooseForm, type FormChoice } from './choose-form.ts'
import type { TableImage } from './ip-table.ts'

/** The task. */
export interface CompileTableTask {
  readonly form: FormChoice
  /** In the order in which the table learns the lists' names. */
  readonly columns: readonly PrefixColumns[]
}

/** Runs the task. Throws OperatingError TABLE_TOO_MANY_CLASSES, TABLE_TOO_MANY_NAMES. */
export function compileTable(task: CompileTableTask): TableImage {
  const [only] = task.columns
  if (only !== undefined && task.columns.length === 1) return chooseForm(task.form).compile(only)
  const builder = new PrefixColumnsBuilder()
  for (const columns of task.columns) builder.append(columns)
  return chooseForm(task.form).compile(builder.finish())
}
