/**
 * A short soak: many processes on the same shared sessions, every octet checked. Show 4 of shared
 * TLS; the long one is `npm run soak:tls -- --minutes 10`.
 */
import { expect, test } from 'vitest'
import { run } from './support/processes.ts'

test('16 processes × 8 sessions: no crosstalk, one handshake a session, fair, nothing left', {
  timeout: 180_000,
}, async () => {
  const words = ['--minutes', '0.1', '--applications', '16', '--sessions', '8', '--short']
  const soak = run('test/tls/soak.js', words)
  const lines: string[] = []
  for (let line = 0; line < 6; line++) lines.push(await soak.line())
  await soak.gone
  expect(lines[0]).toMatch(/^16 applications, 8 sessions, \d{2,} conversations$/)
  expect(lines.slice(1).filter((line) => !line.startsWith('ok'))).toEqual([])
  expect(soak.child.exitCode).toBe(0)
})
