/**
 * Every form and place of the blacklist on the running program, with the addon and without it: the
 * block that is listed is refused before HELO and its neighbours are not, over a reload, a kill,
 * and where lists lie in the store without their files (B3, B4, B5, B25).
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { loadAddon } from '../../src/addon/addon.ts'
import { type BareBuild, bareBuild } from '../support/bare-build.ts'
import { ProxyProgram, program } from '../support/proxy-program.ts'
import { type RecordingMailhost, startRecordingMailhost } from '../support/recording-mailhost.ts'
import { SmtpClient } from '../support/smtp-client.ts'

/** The balancer whose PROXY headers say where clients come from. */
const balancer = '127.0.0.2'
const patience = { timeout: 30_000 }

let mailhost: RecordingMailhost
let proxy: ProxyProgram
let bare: BareBuild

beforeAll(() => {
  bare = bareBuild()
})
afterAll(() => bare.remove())
beforeEach(async () => {
  mailhost = await startRecordingMailhost()
})
afterEach(async () => {
  await proxy.end()
  await mailhost.stop()
})

async function start(form: string, keep: string, commandLine: string, list: string): Promise<void> {
  const more = {
    listen: `proxy_protocol_from = ["${balancer}/32"]`,
    lists: `blacklist_form = "${form}"\nkeep = "${keep}"`,
  }
  const change = (text: string) => `${text}[[lists.blacklist]]\nfile = "black.txt"\n`
  const prepare = (folder: string) => writeFileSync(join(folder, 'black.txt'), list)
  proxy = await ProxyProgram.start(mailhost.port, more, change, 0, prepare, commandLine)
}

/** The first words that a client of this address hears. */
async function greetingOf(address: string): Promise<string> {
  const from = { host: '127.0.0.1', port: proxy.port, localAddress: balancer }
  const client = new SmtpClient(connect(from))
  client.send(`PROXY TCP4 ${address} 192.0.2.1 4000 25\r\n`)
  const heard = await client.reply()
  client.leave()
  return heard.startsWith('220 ') ? '220' : heard.slice(0, 9)
}

const greetingsOf = (...addresses: readonly string[]) => Promise.all(addresses.map(greetingOf))

function ask(...words: readonly string[]): string {
  const socket = ['--socket', join(proxy.folder, 'control.sock')]
  return execFileSync(process.execPath, [program, ...words, ...socket], { encoding: 'utf8' })
}

const addon = { way: 'with the addon', commandLine: () => program }
const noAddon = {
  way: 'without the addon',
  commandLine: () => bare.program,
}
const ways = loadAddon() === undefined ? [noAddon] : [addon, noAddon]
const forms = ['prefix', 'bitmap24', 'hashed', 'text']
const each = ways.flatMap((way) =>
  forms.flatMap((form) => ['files', 'store'].map((keep) => ({ ...way, form, keep }))),
)

describe.each(each)('$form kept as $keep, $way', ({ form, keep, commandLine }) => {
  test('B3, B4: the whole block is refused, its neighbours are not, over a kill too', async () => {
    await start(form, keep, commandLine(), '192.135.140.0/24\n')
    for (let round = 0; round < 2; round++) {
      const inside = [0, 1, 128, 255].map((last) => `192.135.140.${last}`)
      const outside = ['139', '141'].flatMap((block) =>
        [0, 1, 128, 255].map((last) => `192.135.${block}.${last}`),
      )
      expect(new Set(await greetingsOf(...inside))).toEqual(new Set(['554 5.7.1']))
      expect(new Set(await greetingsOf(...outside))).toEqual(new Set(['220']))
      // B25: in the store the list outlives its file.
      if (keep === 'store') rmSync(join(proxy.folder, 'black.txt'))
      if (round === 0) await proxy.killAndStart()
      if (keep === 'store') writeFileSync(join(proxy.folder, 'black.txt'), '192.135.140.0/24\n')
    }
    expect(existsSync(join(proxy.folder, 'store/lists/blacklist-black.last-good'))).toBe(
      keep === 'files',
    )
  }, 60_000)
})

/** The numbers of the /24 blocks whose bit is set in the one bitmap file that there is. */
function blocksInFile(): readonly number[] {
  const folder = join(proxy.folder, 'store/lists/table-blacklist')
  const files = readdirSync(folder)
  expect(files).toHaveLength(1)
  const octets = readFileSync(join(folder, files[0] ?? ''))
  expect(octets).toHaveLength(2 ** 21)
  const set = [...octets.entries()].filter(([, octet]) => octet !== 0)
  return set.flatMap(([at, octet]) =>
    Array.from({ length: 8 }, (_, bit) => bit)
      .filter((bit) => (octet & (0x80 >>> bit)) !== 0)
      .map((bit) => at * 8 + bit),
  )
}

const blockOf = (a: number, b: number, c: number) => a * 65_536 + b * 256 + c

describe.each(ways)('bitmap24, $way', ({ commandLine }) => {
  test('B4: one host refuses its /24 by the bit on disk; reload, dynamic entries, status', async () => {
    await start('bitmap24', 'files', commandLine(), '192.135.140.77\n')
    const addresses = ['192.135.140.0', '192.135.140.255', '192.135.139.77', '192.135.141.77']
    expect(await greetingsOf(...addresses)).toEqual(['554 5.7.1', '554 5.7.1', '220', '220'])
    expect(blocksInFile()).toEqual([blockOf(192, 135, 140)])

    writeFileSync(join(proxy.folder, 'black.txt'), '192.135.141.5\n198.18.7.0/23\n')
    expect(ask('reload')).toMatch(/^reloaded/)
    const after = ['192.135.140.77', '192.135.141.9', '198.18.6.1', '198.18.7.1', '198.18.8.1']
    expect(await greetingsOf(...after)).toEqual(['220', '554 5.7.1', ...Array(3).fill('220')])
    expect(blocksInFile()).toEqual([blockOf(192, 135, 141)])
    expect(ask('status')).toMatch(/^blacklist black: loaded, 1 entries/m)

    ask('list', 'dynamic', 'add', '62.0.113.9')
    expect(await greetingsOf('62.0.113.200', '62.0.112.9')).toEqual(['554 5.7.1', '220'])
    ask('list', 'dynamic', 'remove', '62.0.113.9')
    await expect.poll(() => greetingOf('62.0.113.200'), patience).toBe('220')
  }, 60_000)
})
