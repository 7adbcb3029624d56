/**
 * An honest client: proves that the proxy still serves, after whatever a test has done to it.
 */
import { expect } from 'vitest'
import { SmtpClient } from './smtp-client.ts'

/** One message to victim@protected.example goes through on this port. */
export async function honestClientIsServed(port: number): Promise<void> {
  const client = await SmtpClient.open(port)
  const said = await client.saysAll(
    'EHLO honest.example',
    'MAIL FROM:<honest@client.example>',
    'RCPT TO:<victim@protected.example>',
    'DATA',
    'Subject: honest\r\n\r\nhello\r\n.',
  )
  expect(said).toMatch(/^250/)
  client.leave()
}
