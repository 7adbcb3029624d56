/**
 * What tests of TLS on the proxy's legs stand on: an authority with certificates, proxies, a
 * daemon, and their end behind each test.
 */
import { type Postfix, startPostfix } from '../../support/postfix.ts'
import { startProxy, type TestProxy, type Written } from '../../support/running-proxy.ts'
import type { Identity } from './certificates.ts'
import { SessionScene, set } from './session-scene.ts'

/** Of one test file. */
export class TlsScene extends SessionScene {
  /** Of the proxy: mx.example.test. */
  service!: Identity
  /** Of the mailhost: mailhost.example.test. */
  mailhost!: Identity

  async proxyBefore(port: number, changes: Written = {}): Promise<TestProxy> {
    const started = await startProxy([port], changes)
    this.atEnd(() => started.end())
    return started
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
  return set(scene, (authority) => {
    scene.service = authority.issue('mx.example.test')
    scene.mailhost = authority.issue('mailhost.example.test')
  })
}

/** The [tls] settings of a proxy with this certificate. */
export function certificateOf({ certificateFile, keyFile }: Identity): Written {
  return { certificate: certificateFile, key: keyFile }
}

/** Handshakes that a Postfix has logged. */
export function handshakesOf(postfix: Postfix): number {
  return postfix.log().match(/TLS connection established/g)?.length ?? 0
}
