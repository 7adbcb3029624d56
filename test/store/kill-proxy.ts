/**
 * A whole proxy in a process of its own, to be killed: argv holds its configuration as JSON and its
 * folder; it tells its port when it serves.
 */
import { buildConfig, faultLine } from '../../src/config/load.ts'
import { openSystemLog } from '../../src/log/system-log.ts'
import { serve } from '../../src/main.ts'

const loaded = buildConfig(JSON.parse(process.argv[2] ?? '{}'), process.argv[3] ?? '')
if (!loaded.ok) throw new Error(loaded.error.map(faultLine).join('\n'))
const proxy = await serve(loaded.value, await openSystemLog(loaded.value))
process.send?.(Number(proxy.addresses[0]?.split(':').pop()))
