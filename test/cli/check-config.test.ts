/**
 * `check-config` looks into the files as start does: what it passes starts, what it refuses does
 * not.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import { readPolicyFiles, tlsPolicyOf } from '../../src/edge/policies.ts'
import { runCommand } from '../support/command-line.ts'
import { type Authority, makeAuthority } from '../tls/support/certificates.ts'

const text = `
name = "mx.example.net"
listen.smtp = ["127.0.0.1:2525"]
mailhost.addresses = ["192.0.2.9:25"]
recipients.domains = ["example.net"]
`
let folder: string
let authority: Authority
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'activemx-check-'))
  authority = makeAuthority()
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
  authority.remove()
})

test('a bad line of the header rules: a fault each, and no start', async () => {
  const rules = 'Subject: /ok/ refuse\nno rule\nSubject: /(/ refuse\n'
  writeFileSync(join(folder, 'rules'), rules)
  const { status, warned } = await check('tests.headers.rules = "rules"\n')
  expect(status).toBe(2)
  expect(warned).toHaveLength(2)
  expect(warned[0]).toMatch(/: tests\.headers\.rules = ".*rules": .*rules:2: /)
  expect(warned[1]).toMatch(/rules:3: /)
  expect(start).toThrow('tests.headers.rules: ')
})

test('a certificate that does not fit its key: named, and no start', async () => {
  const [one, other] = [authority.issue('mx.example.net'), authority.issue('mx.example.org')]
  const fits = `tls.certificate = "${one.certificateFile}"\ntls.key = "${one.keyFile}"\n`
  expect((await check(fits)).warned).toEqual([])
  const sni = `[[tls.sni]]\nnames = ["b.example"]\ncertificate = "${other.certificateFile}"\n`
  const { status, warned } = await check(`${fits}${sni}key = "${one.keyFile}"\n`)
  expect(status).toBe(2)
  expect(warned).toHaveLength(1)
  expect(warned[0]).toMatch(/: tls\.sni\[0\]\.certificate = .*; give a chain and its own key$/)
  expect(start).toThrow('tls.certificate')
})

test('name patterns of nothing but bad lines: a fault, as at start', async () => {
  writeFileSync(join(folder, 'patterns'), '/(/ what\n')
  const { status, warned } = await check('tests.dialup.patterns = "patterns"\n')
  expect(status).toBe(2)
  expect(warned).toHaveLength(1)
  expect(warned[0]).toContain('tests.dialup.patterns = ')
})

test('B25: with lists.keep = "store" a list whose file is gone is a warning', async () => {
  const list = '[[lists.blacklist]]\nfile = "gone.txt"\n'
  const kept = await check(`lists.keep = "store"\n${list}`)
  expect(kept.status).toBe(0)
  expect(kept.warned).toHaveLength(1)
  expect(kept.warned[0]).toMatch(/warning: lists\.blacklist\[0\]\.file = .*not readable/)
  expect((await check(list)).status).toBe(2)
})

function check(added: string) {
  writeFileSync(file(), `${text}${added}`)
  return runCommand('check-config', '--config', file())
}

/** What start makes of the files. */
function start(): unknown {
  const loaded = loadConfig(file())
  if (!loaded.ok) throw new Error('no configuration')
  return tlsPolicyOf(loaded.value, readPolicyFiles(loaded.value), new Uint8Array(32))
}

function file(): string {
  return join(folder, 'activemx.toml')
}
