/**
 * `activemx tls wrap`: TLS for programs that know none, and the API for programs in any language.
 *
 * `--api PATH`: takes the daemon's own frames and routes each call by its first parameter.
 * `--listen ADDRESS|PATH --to HOST:PORT`: each local connection is one conversation: a session of
 * its own, or with `--shared NAME` a lease on the daemon's session.
 */
import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { disableCoreDumps } from '../addon/process.ts'
import { OperatingError } from '../base/errors.ts'
import type { NewOptions } from '../tls/api.ts'
import { ApiWrap } from '../tls/wrap-api.ts'
import { type RelayOptions, RelayWrap } from '../tls/wrap-relay.ts'
import { TlsWrapper } from '../tls/wrapper.ts'
import { type CommandContext, wholeNumber } from './command.ts'
import { untilSignal } from './until-signal.ts'

interface TlsWrapOptions {
  readonly api?: string
  readonly listen?: string
  readonly to?: string
  readonly starttls?: string
  readonly shared?: string
  readonly sessions?: number
  readonly daemon: string
  readonly ca?: string
  readonly servername?: string
  readonly pin?: string
  readonly certificate?: string
  readonly key?: string
  readonly insecure?: boolean
  readonly fallback?: boolean
  readonly json?: boolean
}

/** Adds the command. */
export function addTlsWrap(tls: Command, context: CommandContext): void {
  tls
    .command('wrap')
    .description('TLS sessions for any program, of its own or shared')
    .option('--api <path>', "take the daemon's frames on this Unix socket")
    .option('--listen <address|path>', 'take plain connections: host:port, port, or a path with /')
    .option('--to <host:port>', 'the TLS server')
    .option('--starttls <protocol>', 'begin in plain text: smtp')
    .option('--shared <name>', "lease the daemon's session of this name")
    .option('--sessions <count>', 'with --shared: connections behind the name', wholeNumber)
    .option('--daemon <socket>', "the daemon's Unix socket", '/run/activemx/tls.sock')
    .option('--ca <file>', 'certificates (PEM) that may have signed the server’s')
    .option('--servername <name>', 'name that the certificate must carry (the host of --to)')
    .option('--pin <base64>', "SHA-256 of the server's public key")
    .option('--certificate <file>', 'client certificate chain (PEM)')
    .option('--key <file>', 'its key (PEM)')
    .option('--insecure', 'do not check the certificate')
    .option('--fallback', 'with --shared: a session of its own where the daemon is away or refuses')
    .option('--json', 'one JSON object when ready')
    .action((options: TlsWrapOptions) => wrap(options, context))
}

async function wrap(options: TlsWrapOptions, context: CommandContext): Promise<void> {
  if ((options.api === undefined) === (options.listen === undefined)) {
    throw new OperatingError('USAGE', 'give either --api PATH or --listen ADDRESS --to HOST:PORT')
  }
  // It holds mail, and keys of its own.
  if (!disableCoreDumps()) {
    context.terminal.warn('core dumps could not be switched off: set LimitCORE=0')
  }
  if (options.api !== undefined) await wrapApi(options.api, options, context)
  else await wrapRelay(options, context)
}

async function wrapApi(path: string, options: TlsWrapOptions, { terminal }: CommandContext) {
  const running = await ApiWrap.start(path, options.daemon)
  const ready = { pid: process.pid, api: path, daemon: options.daemon }
  terminal.print(options.json === true ? JSON.stringify(ready) : `TLS wrapper at ${path}`)
  await untilSignal()
  await running.stop()
}

async function wrapRelay(options: TlsWrapOptions, { terminal }: CommandContext): Promise<void> {
  const wrapper = new TlsWrapper({ daemon: options.daemon })
  const listen = endpointOf(options.listen ?? '')
  const session = sessionOf(options)
  const running = await RelayWrap.start(wrapper, {
    listen,
    session,
    log: (text) => terminal.warn(text),
  })
  const ready = { pid: process.pid, port: running.port, to: options.to }
  if (options.json === true) terminal.print(JSON.stringify(ready))
  else terminal.print(`TLS wrapper at ${options.listen} to ${options.to}`)
  await untilSignal()
  await running.stop()
  await wrapper.close()
}

function sessionOf(options: TlsWrapOptions): NewOptions {
  const { host, port } = targetOf('--to', options.to ?? '')
  if (options.starttls !== undefined && options.starttls !== 'smtp') {
    throw new OperatingError('USAGE', `--starttls ${options.starttls}: only smtp is known`)
  }
  if ((options.certificate === undefined) !== (options.key === undefined)) {
    throw new OperatingError('USAGE', 'give --certificate and --key together')
  }
  const { servername, pin, insecure, fallback, sessions } = options
  return {
    shared: options.shared ?? false,
    host,
    port,
    ...(options.starttls === undefined ? {} : { starttls: 'smtp' }),
    ...(servername === undefined ? {} : { servername }),
    ...(pin === undefined ? {} : { pin }),
    ...(insecure === undefined ? {} : { insecure }),
    ...(fallback === undefined ? {} : { fallback }),
    ...(sessions === undefined ? {} : { sessions }),
    ...(options.ca === undefined ? {} : { ca: readPem(options.ca) }),
    ...(options.certificate === undefined ? {} : { certificate: readPem(options.certificate) }),
    ...(options.key === undefined ? {} : { key: readPem(options.key) }),
  }
}

function readPem(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new OperatingError('TLS_FILE', `${file}: not readable`, { cause: error })
  }
}

function targetOf(option: string, text: string): { readonly host: string; readonly port: number } {
  const found = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text)
  const host = found?.[1] ?? found?.[2]
  if (host === undefined) throw new OperatingError('USAGE', `${option} ${text}: give HOST:PORT`)
  return { host, port: Number(found?.[3]) }
}

function endpointOf(text: string): RelayOptions['listen'] {
  if (text.includes('/')) return { path: text }
  if (/^\d{1,5}$/.test(text)) return { host: '127.0.0.1', port: Number(text) }
  return targetOf('--listen', text)
}
