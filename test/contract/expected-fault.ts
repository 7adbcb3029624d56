/**
 * What a contract expects to be thrown.
 */
import { expect } from 'vitest'
import { OperatingError } from '../../src/base/errors.ts'

/** Matches an OperatingError of a code, for toThrow. */
export function expectedFault(code: string): object {
  return expect.toSatisfy((fault) => fault instanceof OperatingError && fault.code === code)
}
