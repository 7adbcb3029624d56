/**
 * Certificates of a test's own authority, made on the fly: good, expired, self-signed, of another
 * name, of another authority.
 */
import { createHash, X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type CertificateWish, makeCertificate } from './x509.ts'

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

const dayMs = 86_400_000
const authorityName = 'Test Authority'

export function makeAuthority(): Authority {
  const folder = mkdtempSync(join(tmpdir(), 'activemx-ca-'))
  let count = 0
  const make = (
    wish: Pick<CertificateWish, 'name' | 'kind' | 'signer'>,
    days: number,
  ): Identity => {
    const stem = join(folder, `${wish.name.replaceAll(/[^a-z0-9]/g, '-')}-${count++}`)
    const notAfterMs = Date.now() + days * dayMs
    const notBeforeMs = Math.min(Date.now(), notAfterMs - dayMs)
    const made = makeCertificate({ ...wish, notBeforeMs, notAfterMs })
    const [certificateFile, keyFile] = [`${stem}.pem`, `${stem}.key`]
    writeFileSync(certificateFile, made.certificate)
    writeFileSync(keyFile, made.key, { mode: 0o600 })
    return { ...made, certificateFile, keyFile }
  }
  const authority = make({ name: authorityName, kind: 'authority' }, 30)
  const signer = { name: authorityName, key: authority.key }
  return {
    folder,
    ca: authority.certificate,
    caFile: authority.certificateFile,
    issue: (name, validity = 'current') =>
      make({ name, kind: 'service', signer }, validity === 'expired' ? -1 : 10),
    selfSigned: (name) => make({ name, kind: 'self-signed' }, 10),
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
