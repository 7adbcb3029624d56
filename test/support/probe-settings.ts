/**
 * The probes' settings as the configuration has them by default, every test off, of a service that
 * has no domain, no mailhost and no address.
 */
import { buildConfig, faultLine } from '../../src/config/load.ts'
import { probeSettingsOf } from '../../src/edge/probe-settings.ts'
import type { ProbeSettings } from '../../src/probes/settings.ts'

/** To be changed by spreading. */
export const defaultProbeSettings: ProbeSettings = {
  ...settingsByDefault(),
  mailhostRoutes: [],
  ownNetworks: [],
}

function settingsByDefault(): ProbeSettings {
  const loaded = buildConfig(
    {
      name: 'mx.example.test',
      listen: { smtp: ['127.0.0.1:0'] },
      mailhost: { addresses: ['127.0.0.1:10025'] },
      recipients: { domains: ['example.test'] },
    },
    '/',
  )
  if (!loaded.ok) throw new Error(loaded.error.map(faultLine).join('\n'))
  return probeSettingsOf(loaded.value, [])
}
