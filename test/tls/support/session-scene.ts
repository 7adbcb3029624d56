/**
 * What tests of sessions stand on: an authority, a peer of its own certificate, daemons, wrappers
 * and applications, and their end behind each test.
 */
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import type { NewOptions } from '../../../src/tls/api.ts'
import { TlsWrapper } from '../../../src/tls/wrapper.ts'
import { Ends } from '../../support/ends.ts'
import { type Authority, type Identity, makeAuthority } from './certificates.ts'
import { type PeerBehaviour, startPeer, type TlsPeer } from './peer.ts'
import { type Application, type RunningDaemon, startApplication, startDaemon } from './processes.ts'

/** Of one test file. */
export class SessionScene extends Ends {
  authority!: Authority
  /** Of the peers: peer.test. */
  identity!: Identity

  async daemon(...words: readonly string[]): Promise<RunningDaemon> {
    const daemon = await startDaemon(words)
    this.atEnd(() => daemon.end('SIGKILL'))
    return daemon
  }

  async peer(behaviour: PeerBehaviour): Promise<TlsPeer> {
    const peer = await startPeer(this.identity, behaviour)
    this.atEnd(() => peer.close())
    return peer
  }

  /** A peer that says everything back, a daemon, and a wrapper before that. */
  async echo() {
    const peer = await this.peer('echo')
    const daemon = await this.daemon()
    return { peer, daemon, wrapper: this.wrapper(daemon.socket) }
  }

  wrapper(socket: string): TlsWrapper {
    const wrapper = new TlsWrapper({ daemon: socket })
    this.atEnd(() => wrapper.close())
    return wrapper
  }

  application(socket: string): Application {
    const application = startApplication(socket)
    this.atEnd(() => application.end('SIGKILL'))
    return application
  }

  /** A session with a peer of this scene. */
  optionsOf(port: number, shared: string, more: Partial<NewOptions> = {}): NewOptions {
    const { ca } = this.authority
    return { shared, host: '127.0.0.1', port, ca, servername: 'peer.test', ...more }
  }
}

/** Sets the scene of a test file: to be called at its top. */
export function sessionScene(): SessionScene {
  return set(new SessionScene(), () => undefined)
}

/** Gives a scene its life. @param prepare what it has besides, made once. */
export function set<Scene extends SessionScene>(
  scene: Scene,
  prepare: (authority: Authority) => void,
): Scene {
  beforeAll(() => {
    scene.authority = makeAuthority()
    scene.identity = scene.authority.issue('peer.test')
    prepare(scene.authority)
  })
  afterEach(() => scene.end())
  afterAll(() => scene.authority.remove())
  return scene
}

/** Makes the session `s` of an application and connects it. @returns its token. */
export async function open(from: Application, options: NewOptions): Promise<string> {
  const made = await from.ask({ do: 'new', session: 's', options })
  expect(made['code']).toBe('none')
  expect(await from.ask({ do: 'connect', session: 's' })).toMatchObject({ code: 'none' })
  return String(made['token'])
}

/** Data as an application is given them. */
export const base64 = (text: string): string => Buffer.from(text).toString('base64')

/** Data as an application gives them. */
export const textOf = (answer: Record<string, unknown>): string =>
  Buffer.from(String(answer['data']), 'base64').toString()
