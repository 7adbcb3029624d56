/**
 * Misuse ends with status 2 and one line that names the thing, the value and the remedy.
 */
import { expect, test } from 'vitest'
import { runCommand } from '../support/command-line.ts'

const cases = [
  { words: '', says: 'activemx: name a command; see activemx --help' },
  { words: 'tls', says: 'activemx tls: name a command; see activemx tls --help' },
  { words: 'whitelist', says: 'activemx whitelist: name a command; see activemx whitelist --help' },
  { words: 'frobnicate', says: "unknown command 'frobnicate'; see activemx --help" },
  { words: 'lookup', says: "missing required argument 'subject'; see activemx lookup --help" },
  { words: 'status --frob', says: "unknown option '--frob'; see activemx status --help" },
  {
    words: 'trace',
    says: "required option '--source <network>' not specified; see activemx trace --help",
  },
  { words: 'probe 192.0.2.1 --test foo', says: 'Allowed choices are dialup, relay, user.; see' },
  { words: 'probes off --key h:', says: "unknown option '--key'; see activemx probes --help" },
  { words: 'probes maybe', says: 'probes maybe: write on or off' },
  { words: 'cache drop', says: 'cache drop: write show or flush' },
  { words: 'list dynamic add', says: 'list dynamic add: give an entry' },
  { words: 'list dynamic add 192.0.2.1 --ttl x', says: '--ttl x: write a time such as 24h' },
  { words: 'list dynamic import /none', says: "open '/none'; name a readable file" },
  { words: 'lookup 192.0.2.1 --list /none', says: 'list /none: cannot be read: ENOENT' },
  {
    words: 'status --socket /none',
    says: 'control.socket = /none: connect ENOENT /none; is the instance running? (--socket, --con',
  },
  { words: 'show-config', says: 'show-config: give --config FILE or --explain NAME' },
  {
    words: 'show-config --explain listen.grete_delay',
    says: 'setting listen.grete_delay: there is none; did you mean listen.greet_delay?',
  },
  {
    words: 'check-config --config /none',
    says: "activemx: /none: not readable: ENOENT: no such file or directory, open '/none'; name a",
  },
  {
    words: 'serve --config /none',
    says: "activemx: /none: not readable: ENOENT: no such file or directory, open '/none'; name a",
  },
  { words: 'tls daemon --queue foo', says: '--queue foo: give fifo or priority' },
  { words: 'tls wrap', says: 'give either --api PATH or --listen ADDRESS --to HOST:PORT' },
  { words: 'tls wrap --listen x --to y:25', says: '--listen x: give HOST:PORT' },
  {
    words: 'tls wrap --listen 0 --to y:25 --key k',
    says: 'give --certificate and --key together',
  },
]

test.each(cases)('activemx $words', async ({ words, says }) => {
  const { status, printed, warned } = await runCommand(
    ...words.split(' ').filter((word) => word !== ''),
  )
  expect(status).toBe(2)
  expect(printed).toEqual([])
  expect(warned).toHaveLength(1)
  expect(warned[0]).not.toContain('\n')
  expect(warned[0]).toMatch(/^activemx/)
  expect(warned[0]).toContain(says)
})
