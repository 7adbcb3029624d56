/**
 * A proxy of the tests' own, in this process, on a free loopback port.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildConfig, faultLine } from '../../src/config/load.ts'
import type { Config } from '../../src/config/schema.ts'
import type { RunningProxy, ServeParts } from '../../src/edge/running-proxy.ts'
import { openSystemLog } from '../../src/log/system-log.ts'
import { serve } from '../../src/main.ts'

/** A table as the configuration file has it. */
export type Written = Readonly<Record<string, unknown>>

/** A running proxy and what a test looks at. */
export interface TestProxy extends RunningProxy {
  /** Where its files are. */
  readonly folder: string
  readonly port: number
  /** Records of the log, flushed. */
  records(): readonly Record<string, unknown>[]
  /** Records of one event. */
  verdicts(): readonly Record<string, unknown>[]
  /** Stops and removes its files. */
  end(): Promise<void>
}

/** A configuration for example.test with the given mailhosts; `changes` are merged per section. */
export function testConfig(
  mailhosts: readonly number[],
  changes: Written = {},
  folder = '/',
): Config {
  const sections: Record<string, unknown> = {
    name: 'mx.example.test',
    listen: { smtp: ['127.0.0.1:0'], per_address_max: 0, rate_max: '', workers: 1 },
    mailhost: { addresses: mailhosts.map((port) => `127.0.0.1:${port}`), retry: '1s' },
    recipients: { domains: ['example.test'] },
    log: { to: join(folder, 'log') },
    process: { user: '' },
    http: { address: '' },
    store: { path: join(folder, 'store') },
    control: { socket: join(folder, 'control.sock') },
  }
  for (const [name, value] of Object.entries(changes)) {
    const isTable = typeof value === 'object' && value !== null && !Array.isArray(value)
    sections[name] = isTable ? { ...(sections[name] as object), ...value } : value
  }
  const loaded = buildConfig(sections, folder)
  if (!loaded.ok) throw new Error(loaded.error.map(faultLine).join('\n'))
  return loaded.value
}

/** How a proxy of the tests is made, beside its settings. */
export interface TestProxyParts extends ServeParts {
  /** Its folder, kept by the caller; absent: one of its own, removed at the end. */
  readonly folder?: string
}

/** Starts a proxy before the mailhosts on these ports. */
export async function startProxy(
  mailhosts: readonly number[],
  changes: Written = {},
  { folder: given, ...parts }: TestProxyParts = {},
): Promise<TestProxy> {
  const folder = given ?? mkdtempSync(join(tmpdir(), 'activemx-proxy-'))
  const config = testConfig(mailhosts, changes, folder)
  const log = await openSystemLog(config)
  const proxy = await serve(config, log, parts)
  const records = () => {
    log.log.flush()
    const lines = readFileSync(join(folder, 'log'), 'utf8').split('\n')
    return lines.filter((line) => line !== '').map((line) => JSON.parse(line))
  }
  return {
    folder,
    port: Number(proxy.addresses[0]?.split(':').pop()),
    addresses: proxy.addresses,
    reload: (changed) => proxy.reload(changed),
    status: () => proxy.status(),
    commands: proxy.commands,
    dynamic: proxy.dynamic,
    learnt: proxy.learnt,
    endThread: (thread) => proxy.endThread(thread),
    stop: () => proxy.stop(),
    records,
    verdicts: () => records().filter((record) => record.event === 'verdict'),
    async end() {
      await proxy.stop()
      await log.close()
      if (given === undefined) rmSync(folder, { recursive: true, force: true })
    },
  }
}
