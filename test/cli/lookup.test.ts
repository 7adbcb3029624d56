import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runCommand } from '../support/command-line.ts'

let folder = ''
const file = (name: string) => join(folder, name)

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'activemx-lookup-'))
  writeFileSync(file('drop.netset'), '# a comment\n192.0.2.0/24\n2001:db8::/32\n')
  writeFileSync(file('level.txt.gz'), gzipSync('192.0.2.7\n!192.0.2.8\n192.0.0.0/16\n'))
  writeFileSync(file('typing.txt'), '198.51.100.0/24\n198.51.100.300\n203.0.113.0/24\n')
  writeFileSync(file('page.html'), '<html>\n<body>503</body>\n</html>\n')
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('a listed address ends with status 0 and names list, file and line', async () => {
  const { status, printed, warned } = await runCommand(
    ...['lookup', '192.0.2.7', '--list', file('drop.netset'), file('level.txt.gz')],
  )
  expect(status).toBe(0)
  expect(printed).toEqual([
    '192.0.2.7 is listed in drop, level',
    `  level  192.0.2.7/32  ${file('level.txt.gz')}:1`,
    `  drop  192.0.2.0/24  ${file('drop.netset')}:2`,
    `  level  192.0.0.0/16  ${file('level.txt.gz')}:3`,
  ])
  expect(warned).toEqual([])
})

test('an address that is not listed ends with status 1', async () => {
  const { status, printed } = await runCommand(
    'lookup',
    '203.0.113.1',
    '--list',
    file('drop.netset'),
  )
  expect({ status, printed }).toEqual({ status: 1, printed: ['203.0.113.1 is not listed'] })
})

test('--json gives one object with every origin and the bad lines', async () => {
  const { status, printed } = await runCommand(
    ...['lookup', '::ffff:198.51.100.9', '--json', '--list', file('typing.txt')],
  )
  expect(status).toBe(0)
  const origin = { list: 'typing', prefix: '198.51.100.0/24', file: file('typing.txt'), line: 1 }
  const badLine = {
    file: file('typing.txt'),
    line: 2,
    text: '198.51.100.300',
    reason: 'octet above 255',
  }
  expect(printed.map((line) => JSON.parse(line))).toEqual([
    {
      address: '::ffff:198.51.100.9',
      listed: true,
      lists: ['typing'],
      prefix: '198.51.100.0/24',
      origins: [origin],
      badLines: [badLine],
    },
  ])
})

test('a bad line is reported with file, line, text and reason, and skipped (B6)', async () => {
  const { status, warned } = await runCommand('lookup', '203.0.113.1', '--list', file('typing.txt'))
  expect(status).toBe(0)
  expect(warned).toEqual([`${file('typing.txt')}:2: skipped: octet above 255: "198.51.100.300"`])
})

test.each([
  { label: 'no address', words: ['lookup', '1.2.3', '--list', 'drop.netset'], says: '"1.2.3"' },
  {
    label: 'neither list nor instance',
    words: ['lookup', '1.2.3.4', '--socket', 'none'],
    says: 'is the instance running?',
  },
  { label: 'no such file', words: ['lookup', '1.2.3.4', '--list', 'none'], says: 'check the path' },
  { label: 'no such command', words: ['frobnicate'], says: 'frobnicate' },
  {
    label: 'a web page',
    words: ['lookup', '1.2.3.4', '--list', 'page.html'],
    says: 'check the format',
  },
  {
    label: 'no share',
    words: ['lookup', '1.2.3.4', '--list', 'drop.netset', '--bad-lines-max', '5'],
    says: 'give 0 to 1',
  },
])('misuse and faults end with status 2 and one line: $label', async ({ words, says }) => {
  const inFolder = words.map((word) => (/^(?:drop|page)\.|^none$/.test(word) ? file(word) : word))
  const { status, printed, warned } = await runCommand(...inFolder)
  expect({ status, printed }).toEqual({ status: 2, printed: [] })
  expect(warned).toHaveLength(1)
  expect(warned[0]).toMatch(/^activemx: /)
  expect(warned[0]).toContain(says)
  expect(warned[0]).not.toContain('\n')
})

test('--help and --version end with status 0', async () => {
  expect((await runCommand('lookup', '--help')).status).toBe(0)
  const { status, printed } = await runCommand('--version')
  expect(status).toBe(0)
  expect(printed[0]).toMatch(/^\d+\.\d+\.\d+/)
})
