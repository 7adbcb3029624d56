/**
 * The hostile cases beside the project (adversarial/cases.jsonl), by area; none without them.
 */
import { readFileSync } from 'node:fs'
import { needsSharedData, sharedData } from './needs.ts'

/** One case. */
export interface AdversarialCase {
  readonly id: string
  readonly area: string
  readonly name: string
  readonly kind: string
  readonly setup: string
  readonly input: Uint8Array
  readonly expect: string
}

/** Areas of octets in the clear; others' hold markers for steps of TLS, or steps of a mailhost. */
export const plainAreas = [
  'end-of-data',
  'bdat',
  'pipelining',
  'lines-8bit',
  'injection',
  'relay-forms',
] as const

/** The cases of an area in file order. */
export function adversarialCases(area: string): readonly AdversarialCase[] {
  if (needsSharedData() !== undefined) return []
  return readFileSync(sharedData('adversarial/cases.jsonl'), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Omit<AdversarialCase, 'input'> & { input_b64?: string })
    .filter((found) => found.area === area)
    .map(({ input_b64, ...rest }) => ({ ...rest, input: Buffer.from(input_b64 ?? '', 'base64') }))
}
