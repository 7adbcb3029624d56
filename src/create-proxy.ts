/**
 * createProxy: the proxy to embed in a program of one's own.
 *
 * It serves like `activemx serve`, from an object instead of a file, and leaves signals and the
 * process to the program around it.
 */

import { OperatingError } from './base/errors.ts'
import { buildConfig, faultLine } from './config/load.ts'
import type { Config } from './config/schema.ts'
import { reloadInstance } from './edge/reload.ts'
import { openSyslogOverTls } from './edge/tls-syslog.ts'
import { openSystemLog } from './log/system-log.ts'
import { type ProxyStatus, serve } from './main.ts'

/** Settings with the names that `activemx.toml` has; relative paths start at the working folder. */
export type ProxySettings = Readonly<Record<string, unknown>>

/** A proxy of one's own. */
export interface Proxy {
  /** `address:port` of every listener, as bound. */
  readonly addresses: readonly string[]
  /** Takes new settings without dropping a connection; rejects and keeps the old ones if wrong. */
  reload(settings: ProxySettings): Promise<void>
  status(): ProxyStatus
  /** Finishes running transactions, for `listen.stop_wait` at the most. */
  stop(): Promise<void>
}

/** Starts a proxy. Rejects with OperatingError, one line a fault, where it cannot be done. */
export async function createProxy(settings: ProxySettings): Promise<Proxy> {
  const config = configOf(settings)
  const log = await openSystemLog(config, openSyslogOverTls)
  const running = await serve(config, log).catch(async (fault: unknown) => {
    await log.close()
    throw fault
  })
  return {
    addresses: running.addresses,
    reload: async (changed) => reloadInstance(configOf(changed), log, running),
    status: () => running.status(),
    async stop() {
      await running.stop()
      await log.close()
    },
  }
}

function configOf(settings: ProxySettings): Config {
  const loaded = buildConfig(settings, process.cwd())
  if (loaded.ok) return loaded.value
  throw new OperatingError('CONFIGURATION', loaded.error.map(faultLine).join('\n'))
}
