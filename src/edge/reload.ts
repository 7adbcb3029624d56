/**
 * Reload: a running instance and its log take a new configuration together, or neither does.
 */
import type { Config } from '../config/schema.ts'
import type { SystemLog } from '../log/system-log.ts'

/** Gives both the configuration. Rejects with OperatingError and leaves both as they were. */
export async function reloadInstance(
  config: Config,
  log: SystemLog,
  proxy: { reload(config: Config): Promise<void> },
): Promise<void> {
  const logChange = await log.prepare(config)
  try {
    await proxy.reload(config)
  } catch (fault) {
    await logChange.discard()
    throw fault
  }
  await logChange.take()
}
