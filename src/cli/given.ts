/**
 * What a client of the control socket has given with its command.
 */
import { OperatingError } from '../base/errors.ts'

/** The arguments as they came: nothing of them has been checked. */
export type Given = Readonly<Record<string, unknown>>

/** A text that must be there. Throws OperatingError USAGE. */
export function textOf(given: Given, name: string): string {
  const value = given[name]
  if (typeof value === 'string' && value !== '') return value
  throw usage(`${name} is missing`)
}

/** The client's own fault. */
export function usage(message: string): OperatingError {
  return new OperatingError('USAGE', message)
}
