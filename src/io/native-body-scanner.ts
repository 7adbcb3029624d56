/**
 * The native body scanner (native/core/body_scanner.cpp), or its twin where the addon is missing.
 */
import { loadAddon } from '../addon/addon.ts'
import { type ScanBody, scanBodyByteLoop } from '../smtp/body-scanner.ts'

/** What this part uses of the addon. */
interface ScannerAddon {
  readonly scanBody: ScanBody
}

/** The fastest scanner that this process has. */
export function bodyScanner(): ScanBody {
  const addon = loadAddon() as ScannerAddon | undefined
  return addon?.scanBody ?? scanBodyByteLoop
}
