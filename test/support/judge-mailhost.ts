/**
 * What holds for every octet that a mailhost gets from the proxy, whatever its clients did.
 */
import { expect } from 'vitest'
import type { RecordingMailhost } from './recording-mailhost.ts'

// RFC 5321 §4.1.2, narrower: a local part that could ask somebody to route on is none of ours.
const parameters = '(?: [A-Z0-9-]+(?:=[!-<>-~]+)?)*'
const local = '[^<>@%!:,\\\\" \\x00-\\x1f\\x7f]+'

/** Exactly the commands of which a transaction is made; every line must be one of them. */
function commandForms(domain: string): readonly RegExp[] {
  const ours = domain.replaceAll('.', '\\.')
  return [
    /^EHLO [a-z0-9.-]+$/,
    /^XFORWARD(?: [A-Z]+=[!-~]+)+$/,
    new RegExp(`^MAIL FROM:<[^<>\\x00-\\x20\\x7f]*>${parameters}$`),
    new RegExp(`^RCPT TO:<(?:${local}@${ours}|postmaster)>${parameters}$`, 'i'),
    /^(?:DATA|RSET|QUIT)$/,
  ]
}

/** Judges all sessions, and the messages from index `before` on. */
export function judgeMailhost(
  mailhost: RecordingMailhost,
  before: number,
  domain = 'protected.example',
): void {
  const forms = commandForms(domain)
  const isCommand = (line: string) => forms.some((form) => form.test(line))
  for (const { octets, commands } of mailhost.sessions) {
    expect(/\0|\r(?!\n)|(?<!\r)\n/.test(octets.toString('latin1')), 'no stray octet').toBe(false)
    expect(commands.filter((line) => !isCommand(line))).toEqual([])
  }
  for (const { mail, recipients, wire } of mailhost.messages.slice(before)) {
    expect(mail).toMatch(/^MAIL FROM:</)
    expect(recipients.length).toBeGreaterThan(0)
    const text = wire.toString('latin1')
    expect(text).toMatch(/^Received: from \S+ \(\[[0-9a-fA-F.:]+\]\)\r\n\tby \S+ with /)
    expect(text, 'dots are stuffed').not.toMatch(/\r\n\.\r\n/)
    expect(text.endsWith('\r\n'), 'the final dot begins a line').toBe(true)
  }
}
