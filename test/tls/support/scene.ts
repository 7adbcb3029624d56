/**
 * What tests of TLS on the proxy's legs stand on: an authority with certificates, proxies, a
 * daemon, and their end behind each test.
 */
import { afterAll, afterEach, beforeAll } from 'vitest'
import { type Postfix, startPostfix } from '../../support/postfix.ts'
import { startProxy, type TestProxy, type Written } from '../../support/running-proxy.ts'
import { type Authority, type Identity, makeAuthority } from './certificates.ts'
import { type Application, type RunningDaemon, startApplication, startDaemon } from './processes.ts'

/** Of one test file. */
export class TlsScene {
  authority!: Authority
  /** Of the proxy: mx.example.test. */
  service!: Identity
  /** Of the mailhost: mailhost.example.test. */
  mailhost!: Identity
  readonly #ends: (() => unknown)[] = []

  /** Has it done behind the test; the last comes first. */
  atEnd(end: () => unknown): void {
    this.#ends.push(end)
  }

  async end(): Promise<void> {
    for (const end of this.#ends.splice(0).reverse()) await end()
  }

  async proxyBefore(port: number, changes: Written = {}): Promise<TestProxy> {
    const started = await startProxy([port], changes)
    this.atEnd(() => started.end())
    return started
  }

  async daemon(...words: readonly string[]): Promise<RunningDaemon> {
    const daemon = await startDaemon(words)
    this.atEnd(() => daemon.end('SIGKILL'))
    return daemon
  }

  application(socket: string): Application {
    const application = startApplication(socket)
    this.atEnd(() => application.end('SIGKILL'))
    return application
  }

  /** A mailhost that offers STARTTLS and logs its handshakes. */
  async postfix(...settings: readonly string[]): Promise<Postfix> {
    const started = await startPostfix([
      'smtpd_tls_security_level = may',
      `smtpd_tls_cert_file = ${this.mailhost.certificateFile}`,
      `smtpd_tls_key_file = ${this.mailhost.keyFile}`,
      'smtpd_tls_loglevel = 1',
      ...settings,
    ])
    this.atEnd(() => started.remove())
    return started
  }

  /** Settings of a proxy whose sessions to the mailhost are the daemon's: one at a time. */
  sharedMailhost(socket: string, changes: Written = {}): Written {
    return {
      mailhost: {
        tls: 'required',
        sessions: 'shared',
        ca: this.authority.caFile,
        servername: 'mailhost.example.test',
        sessions_max: 1,
        ...changes,
      },
      tls_daemon: { socket },
    }
  }
}

/** Sets the scene of a test file: to be called at its top. */
export function tlsScene(): TlsScene {
  const scene = new TlsScene()
  beforeAll(() => {
    scene.authority = makeAuthority()
    scene.service = scene.authority.issue('mx.example.test')
    scene.mailhost = scene.authority.issue('mailhost.example.test')
  })
  afterEach(() => scene.end())
  afterAll(() => scene.authority.remove())
  return scene
}

/** The [tls] settings of a proxy with this certificate. */
export function certificateOf({ certificateFile, keyFile }: Identity): Written {
  return { certificate: certificateFile, key: keyFile }
}

/** Handshakes that a Postfix has logged. */
export function handshakesOf(postfix: Postfix): number {
  return postfix.log().match(/TLS connection established/g)?.length ?? 0
}
