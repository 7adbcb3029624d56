/**
 * The captured and written dialogues beside the project, as the octets that a client sends in them;
 * what servers say in them is left out.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { needsSharedData, sharedData } from './needs.ts'

/** What one client sends over one connection. */
export interface Dialogue {
  readonly name: string
  readonly octets: Buffer
}

/** Every dialogue of a client; the folders with what servers say are for probes. */
export function capturedDialogues(): readonly Dialogue[] {
  if (needsSharedData() !== undefined) return []
  return [
    ...filesOf('pcap-streams', '.client.raw').map(({ name, text }) => dialogue(name, text)),
    ...filesOf('chasquid-fuzz', '.raw').map(({ name, text }) => dialogue(name, text)),
    ...filesOf('profuzzbench', '').map(({ name, text }) => dialogue(name, text)),
    ...filesOf('chasquid-dialogs', '.cmy').flatMap(writtenDialogues),
    ...filesOf('james-mpt', '.test').map(({ name, text }) => {
      const said = [...text.matchAll(/^C: ?(.*)$/gm)].map(([, line = '']) => `${line}\r\n`)
      return dialogue(name, said.join(''))
    }),
  ]
}

/**
 * The same with what a strict server refuses put right: line ends, blanks and brackets of paths.
 */
export function inForm({ name, octets }: Dialogue): Dialogue {
  const text = octets.toString('latin1')
  const lines = text.includes('\r\n') ? text : text.replaceAll('\n', '\r\n')
  const bracketed = lines.replaceAll(
    /^(MAIL FROM|RCPT TO): ?<?([^<>\s]*)>?(.*?)[ ]*\r$/gim,
    (_, verb: string, path: string, rest: string) => `${verb}:<${path}>${rest}\r`,
  )
  return dialogue(`${name}, in form`, bracketed)
}

/** Domains of all recipients, in lower case, as a proxy may be told to take them. */
export function recipientDomainsOf(dialogues: readonly Dialogue[]): readonly string[] {
  const path = /^RCPT TO:\s*<?[^<>\s]*@([a-z0-9.-]+)>?/gim
  const found = dialogues.flatMap(({ octets }) => [...octets.toString('latin1').matchAll(path)])
  const names = found.map(([, domain = '']) => domain.toLowerCase())
  const isName = (name: string) => /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(name)
  return [...new Set(names.filter((name) => isName(name) && !/--|\.\./.test(name)))]
}

/**
 * Lines of the dialogue language: `c -> line`, `c ~> 'octets'`, `c tcp_connect`; the rest is the
 * server's.
 */
function writtenDialogues(file: { readonly name: string; readonly text: string }): Dialogue[] {
  const connections: string[] = []
  for (const line of file.text.split('\n')) {
    const [, how = '', what = ''] = /^c (tcp_connect|->|~>) ?(.*)$/.exec(line) ?? []
    if (how === 'tcp_connect') connections.push('')
    const said = how === '->' ? `${what}\r\n` : how === '~>' ? unquoted(what) : ''
    connections[connections.length - 1] += said
  }
  return connections.map((said, at) => dialogue(`${file.name} ${at + 1}`, said))
}

function unquoted(text: string): string {
  return text.slice(1, -1).replaceAll('\\r', '\r').replaceAll('\\n', '\n')
}

function dialogue(name: string, text: string): Dialogue {
  return { name, octets: Buffer.from(text, 'latin1') }
}

function filesOf(folder: string, suffix: string) {
  const path = sharedData(`sessions/${folder}`)
  const names = readdirSync(path).filter((name) => name.endsWith(suffix))
  return names.sort().map((name) => ({
    name: `${folder}/${name}`,
    text: readFileSync(`${path}/${name}`, 'latin1'),
  }))
}
