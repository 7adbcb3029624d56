/**
 * What tests of a proxy stand on: mailhosts that record, proxies before them, and their end behind
 * each test.
 */
import { afterEach } from 'vitest'
import { Ends } from './ends.ts'
import {
  type RecordingMailhost,
  type RecordingOptions,
  startRecordingMailhost,
} from './recording-mailhost.ts'
import { startProxy, type TestProxy, type TestProxyParts, type Written } from './running-proxy.ts'

/** Of one test file. */
export class ProxyScene extends Ends {
  async mailhost(options?: RecordingOptions): Promise<RecordingMailhost> {
    const mailhost = await startRecordingMailhost(options)
    this.atEnd(() => mailhost.stop())
    return mailhost
  }

  async proxyBefore(
    mailhosts: readonly number[],
    changes?: Written,
    parts?: TestProxyParts,
  ): Promise<TestProxy> {
    const proxy = await startProxy(mailhosts, changes, parts)
    this.atEnd(() => proxy.end())
    return proxy
  }
}

/** Sets the scene of a test file: to be called at its top. */
export function proxyScene(): ProxyScene {
  const scene = new ProxyScene()
  afterEach(() => scene.end())
  return scene
}
