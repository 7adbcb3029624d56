/**
 * What a call weighs against a client's credit: both sides count alike. Pure.
 */
import { tlsDataOctetsMax } from '../base/limits.ts'

/** The octets of a call's body, or of the answer that it asks for, whichever is more. */
export function chargeOf(bodyOctets: number, readOctets: number): number {
  return Math.max(bodyOctets, Math.min(readOctets, tlsDataOctetsMax))
}
