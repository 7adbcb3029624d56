/**
 * Certificates of a test's own authority, made on the fly by openssl: good, expired, self-signed,
 * of another name, of another authority.
 */
import { execFileSync } from 'node:child_process'
import { createHash, X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Identity {
  readonly certificate: string
  readonly key: string
  readonly certificateFile: string
  readonly keyFile: string
}

export interface Authority {
  readonly folder: string
  /** PEM of the authority. */
  readonly ca: string
  readonly caFile: string
  /** A certificate for `name`, signed by the authority. */
  issue(name: string, validity?: 'current' | 'expired'): Identity
  /** A certificate that nobody signed. */
  selfSigned(name: string): Identity
  remove(): void
}

const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']

export function makeAuthority(): Authority {
  const folder = mkdtempSync(join(tmpdir(), 'activemx-ca-'))
  const caFile = join(folder, 'ca.pem')
  const caKeyFile = join(folder, 'ca.key')
  openssl([
    'req',
    '-x509',
    ...ec,
    '-days',
    '30',
    '-subj',
    '/CN=Test Authority',
    '-keyout',
    caKeyFile,
    '-out',
    caFile,
  ])
  let serial = 0
  const filesOf = (name: string) => {
    const stem = join(folder, `${name.replaceAll(/[^a-z0-9]/g, '-')}-${serial++}`)
    return { stem, certificateFile: `${stem}.pem`, keyFile: `${stem}.key` }
  }
  return {
    folder,
    ca: readFileSync(caFile, 'utf8'),
    caFile,
    issue(name, validity = 'current') {
      const { stem, certificateFile, keyFile } = filesOf(name)
      openssl([
        'req',
        '-new',
        ...ec,
        '-subj',
        `/CN=${name}`,
        '-keyout',
        keyFile,
        '-out',
        `${stem}.csr`,
      ])
      writeFileSync(
        `${stem}.ext`,
        `subjectAltName=DNS:${name}\nextendedKeyUsage=serverAuth,clientAuth\n`,
      )
      const days = validity === 'expired' ? ['-days', '-1'] : ['-days', '10']
      openssl([
        'x509',
        '-req',
        '-in',
        `${stem}.csr`,
        '-CA',
        caFile,
        '-CAkey',
        caKeyFile,
        '-set_serial',
        String(serial),
        ...days,
        '-extfile',
        `${stem}.ext`,
        '-out',
        certificateFile,
      ])
      return identityOf(certificateFile, keyFile)
    },
    selfSigned(name) {
      const { certificateFile, keyFile } = filesOf(name)
      openssl([
        'req',
        '-x509',
        ...ec,
        '-days',
        '10',
        '-subj',
        `/CN=${name}`,
        '-addext',
        `subjectAltName=DNS:${name}`,
        '-keyout',
        keyFile,
        '-out',
        certificateFile,
      ])
      return identityOf(certificateFile, keyFile)
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}

/** The pin of a certificate's key, as `NewOptions.pin` wants it. */
export function pinOf(identity: Identity): string {
  const key = new X509Certificate(identity.certificate).publicKey
  return createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('base64')
}

function identityOf(certificateFile: string, keyFile: string): Identity {
  return {
    certificate: readFileSync(certificateFile, 'utf8'),
    key: readFileSync(keyFile, 'utf8'),
    certificateFile,
    keyFile,
  }
}

function openssl(words: readonly string[]): void {
  execFileSync('openssl', words, { stdio: ['ignore', 'pipe', 'pipe'] })
}
