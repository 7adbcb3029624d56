/**
 * X.509 certificates in DER (RFC 5280 §4.1, X.690), as far as tests need them: P-256 keys, one
 * name, signed with ECDSA and SHA-256. Node can read certificates and sign, not make them.
 */
import { createPrivateKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto'

/** What a certificate is to say, and who signs it. */
export interface CertificateWish {
  /** Common name; of a service the DNS name too. */
  readonly name: string
  readonly kind: 'authority' | 'service' | 'self-signed'
  readonly notBeforeMs: number
  readonly notAfterMs: number
  /** Name and PKCS #8 PEM of the signer; undefined: by its own key. */
  readonly signer?: { readonly name: string; readonly key: string }
}

/** PEM of a new key (PKCS #8) and of its certificate. */
export function makeCertificate(wish: CertificateWish): { certificate: string; key: string } {
  const pair = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  const signer = wish.signer ?? { name: wish.name, key: pair.privateKey }
  const toBeSigned = sequence(
    element(0xa0, integer(Buffer.from([2]))), // version 3
    integer(Buffer.concat([Buffer.from([0x40]), randomBytes(8)])),
    ecdsaWithSha256,
    nameOf(signer.name),
    sequence(utcTime(wish.notBeforeMs), utcTime(wish.notAfterMs)),
    nameOf(wish.name),
    pair.publicKey,
    element(0xa3, sequence(...extensionsOf(wish))),
  )
  const signature = sign('sha256', toBeSigned, createPrivateKey(signer.key))
  const whole = sequence(
    toBeSigned,
    ecdsaWithSha256,
    element(0x03, Buffer.concat([Buffer.from([0]), signature])),
  )
  const lines = whole.toString('base64').replace(/.{64}(?=.)/g, '$&\n')
  const certificate = `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`
  return { certificate, key: pair.privateKey }
}

const yes = element(0x01, Buffer.from([0xff]))
const ecdsaWithSha256 = sequence(objectId('2a8648ce3d040302'))
const commonName = objectId('550403')
const basicConstraints = objectId('551d13')
const subjectAltName = objectId('551d11')
const extendedKeyUsage = objectId('551d25')
const serverAuth = objectId('2b06010505070301')
const clientAuth = objectId('2b06010505070302')

function extensionsOf({ name, kind }: CertificateWish): readonly Buffer[] {
  const mayIssue = sequence(basicConstraints, yes, octets(sequence(yes)))
  const dnsName = sequence(subjectAltName, octets(sequence(element(0x82, Buffer.from(name)))))
  const usage = sequence(extendedKeyUsage, octets(sequence(serverAuth, clientAuth)))
  if (kind === 'authority') return [mayIssue]
  return kind === 'service' ? [dnsName, usage] : [mayIssue, dnsName]
}

function nameOf(text: string): Buffer {
  const utf8 = element(0x0c, Buffer.from(text))
  return sequence(element(0x31, sequence(commonName, utf8)))
}

function utcTime(atMs: number): Buffer {
  const digits = new Date(atMs).toISOString().replace(/\D/g, '').slice(2, 14)
  return element(0x17, Buffer.from(`${digits}Z`))
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return element(0x30, Buffer.concat(parts))
}

function octets(content: Buffer): Buffer {
  return element(0x04, content)
}

/** `bytes`: of no sign, the highest bit clear. */
function integer(bytes: Buffer): Buffer {
  return element(0x02, bytes)
}

/** `hex`: as encoded. */
function objectId(hex: string): Buffer {
  return element(0x06, Buffer.from(hex, 'hex'))
}

/** Tag, length, content; up to 65,535 octets. */
function element(tag: number, content: Buffer): Buffer {
  const { length } = content
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content])
  const long = [tag, 0x82, length >> 8, length & 0xff]
  if (length < 0x100) long.splice(1, 2, 0x81)
  return Buffer.concat([Buffer.from(long), content])
}
