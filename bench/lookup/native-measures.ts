/**
 * What the addon offers for comparisons: native/binding/table_measure.cpp.
 */
import { loadAddon } from '../../src/addon/addon.ts'

/** The ways of measureTable. */
export type NativeWay = 'bitmap' | 'scalar' | 'dependent' | 'many' | 'many6'

interface MeasureAddon {
  readonly measureEmptyCall: () => void
  readonly measureEchoU32: (value: number) => number
  /** Nanoseconds of all passes. */
  measureTable(
    handle: number,
    way: NativeWay,
    addresses: Uint32Array,
    classes: Uint16Array,
    batch: number,
    passes: number,
  ): number
}

/** The addon's comparisons. Throws where the addon does not load: nothing can be compared then. */
export function nativeMeasures(): MeasureAddon {
  const addon = loadAddon()
  if (addon === undefined) throw new Error('bench lookup: the addon does not load; npm run build')
  return addon as unknown as MeasureAddon
}
