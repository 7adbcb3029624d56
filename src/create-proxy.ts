/**
 * createProxy: the proxy to embed in a program of one's own.
 *
 * It serves like `activemx serve`, from an object instead of a file, and leaves signals and the
 * process to the program around it: a proxy that cannot go on says so by `ended`.
 */

import { OperatingError } from './base/errors.ts'
import { buildConfig, faultLine } from './config/load.ts'
import type { Config } from './config/schema.ts'
import { reloadInstance } from './edge/reload.ts'
import { newFatal, type ProxyStatus } from './edge/running-proxy.ts'
import { openSyslogOverTls } from './edge/tls-syslog.ts'
import { openSystemLog } from './log/system-log.ts'
import { serve } from './main.ts'

/** Settings with the names that `activemx.toml` has; relative paths start at the working folder. */
export type ProxySettings = Readonly<Record<string, unknown>>

/** A proxy of one's own. */
export interface Proxy {
  /** `address:port` of every listener, as bound. */
  readonly addresses: readonly string[]
  /** Takes new settings without dropping a connection; rejects and keeps the old ones if wrong. */
  reload(settings: ProxySettings): Promise<void>
  status(): ProxyStatus
  /** Finishes running transactions, for `listen.stop_wait` at the most. A second call waits too. */
  stop(): Promise<void>
  /**
   * Resolves when the proxy has stopped; rejects with OperatingError when it cannot go on (its
   * threads die again and again) and has stopped by itself. A program that does not look at it is
   * not ended by it: the log has the fault.
   */
  readonly ended: Promise<void>
}

/** Starts a proxy. Rejects with OperatingError, one line a fault, where it cannot be done. */
export function createProxy(settings: ProxySettings): Promise<Proxy> {
  return embedProxy(settings, serve)
}

/** createProxy over another way of serving, for whoever must reach the instance inside. */
export async function embedProxy(
  settings: ProxySettings,
  serveInstance: typeof serve,
): Promise<Proxy> {
  const config = configOf(settings)
  const log = await openSystemLog(config, openSyslogOverTls)
  const fatal = newFatal()
  const running = await serveInstance(config, log, fatal).catch(async (fault: unknown) => {
    await log.close()
    throw fault
  })
  let stopped: Promise<void> | undefined
  const stop = (): Promise<void> => {
    stopped ??= running.stop().then(() => log.close())
    return stopped
  }
  let onAsked = (): void => {}
  const asked = new Promise<void>((resolve) => {
    onAsked = resolve
  })
  const ended = Promise.race([asked, fatal.failed]).then(async (fault) => {
    await stop()
    if (fault !== undefined) throw fault
  })
  ended.catch(() => {})
  return {
    addresses: running.addresses,
    reload: async (changed) => reloadInstance(configOf(changed), log, running),
    status: () => running.status(),
    stop: () => {
      onAsked()
      return stop()
    },
    ended,
  }
}

function configOf(settings: ProxySettings): Config {
  const loaded = buildConfig(settings, process.cwd())
  if (loaded.ok) return loaded.value
  throw new OperatingError('CONFIGURATION', loaded.error.map(faultLine).join('\n'))
}
