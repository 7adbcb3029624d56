/**
 * What the configuration comes to: sessions to a mailhost are made anew where what they trust is
 * another.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { parseConfig } from '../../src/config/load.ts'
import { MailhostSlots, readPolicyFiles, transferPolicyOf } from '../../src/edge/policies.ts'
import { makeAuthority } from '../tls/support/certificates.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'activemx-policies-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** The trust of sessions under these settings, as a reload comes to it. */
function trustOf(settings: string): string {
  const text = `
    name = "mx.example.test"
    mailhost.addresses = ["192.0.2.9:25"]
    recipients.domains = ["example.test"]
    ${settings}
  `
  const loaded = parseConfig(text, folder)
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.error))
  const files = readPolicyFiles(loaded.value)
  return transferPolicyOf(loaded.value, files, new MailhostSlots()).trust
}

test('authority, its file, name, maker: each makes another trust; all else is the same', () => {
  const [authority, other] = [makeAuthority(), makeAuthority()]
  writeFileSync(join(folder, 'ca.pem'), authority.ca)
  writeFileSync(join(folder, 'copy.pem'), authority.ca)
  const required = 'mailhost.tls = "required"\n'
  const before = trustOf(`${required}mailhost.ca = "ca.pem"`)
  const changed = [
    'mailhost.tls = "off"',
    required,
    `${required}mailhost.ca = "ca.pem"\nmailhost.servername = "mail.example.test"`,
    `${required}mailhost.ca = "ca.pem"\nmailhost.sessions = "shared"`,
    'mailhost.tls = "opportunistic"\nmailhost.ca = "ca.pem"',
  ].map(trustOf)
  expect(new Set([before, ...changed]).size).toBe(6)
  const same = `${required}mailhost.ca = "copy.pem"\nmailhost.wait = "1s"\ntls_daemon.socket = "x"`
  expect(trustOf(same)).toBe(before)
  writeFileSync(join(folder, 'ca.pem'), other.ca)
  expect(trustOf(`${required}mailhost.ca = "ca.pem"`)).not.toBe(before)
  expect(trustOf('mailhost.ca = "ca.pem"')).toBe(trustOf(''))
  for (const made of [authority, other]) made.remove()
})
