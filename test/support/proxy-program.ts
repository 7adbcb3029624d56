/**
 * A proxy as a program of its own, with a configuration file: what is killed, measured or asked
 * over its control socket.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { projectRoot } from './needs.ts'
import { freePort, portAnswers } from './ports.ts'

/** Lines of TOML, by section, added to those of every such proxy. */
export type MoreLines = Readonly<Record<string, string>>

/** The command line of this build. */
export const program = join(projectRoot, 'dist/src/cli/activemx.js')

/** A running proxy for example.test. */
export class ProxyProgram {
  readonly port: number
  readonly folder: string
  readonly #fileKilobytesMax: number
  readonly #commandLine: string
  #process: ChildProcess

  /**
   * Starts it before a mailhost of this machine and waits until it answers. @param change what is
   * written otherwise in the file. @param fileKilobytesMax largest file it may write, 0 = any.
   * @param prepare puts files into its folder.
   */
  static async start(
    mailhostPort: number,
    more: MoreLines = {},
    change: (text: string) => string = (text) => text,
    fileKilobytesMax = 0,
    prepare: (folder: string) => void = () => {},
    commandLine = program,
  ): Promise<ProxyProgram> {
    const folder = mkdtempSync(join(tmpdir(), 'activemx-program-'))
    const port = await freePort()
    prepare(folder)
    writeFileSync(join(folder, 'activemx.toml'), change(configurationOf(port, mailhostPort, more)))
    const proxy = new ProxyProgram(port, folder, fileKilobytesMax, commandLine)
    await portAnswers(port)
    return proxy
  }

  constructor(port: number, folder: string, fileKilobytesMax = 0, commandLine = program) {
    this.port = port
    this.folder = folder
    this.#fileKilobytesMax = fileKilobytesMax
    this.#commandLine = commandLine
    this.#process = this.#spawn()
  }

  /** The configuration file. */
  get file(): string {
    return join(this.folder, 'activemx.toml')
  }

  get pid(): number {
    return this.#process.pid ?? 0
  }

  /** Changes the configuration file; it is taken at the next reload or start. */
  rewrite(change: (text: string) => string): void {
    writeFileSync(this.file, change(readFileSync(this.file, 'utf8')))
  }

  /** Records of its log, as far as they are written. */
  records(): readonly Record<string, unknown>[] {
    const lines = readFileSync(join(this.folder, 'log'), 'utf8').split('\n')
    return lines.filter((line) => line !== '').map((line) => JSON.parse(line))
  }

  /** kill -9, and another in its place. */
  async killAndStart(): Promise<void> {
    await this.#kill('SIGKILL')
    this.#process = this.#spawn()
    await portAnswers(this.port)
  }

  /** Starts it again after its end, without waiting until it answers. */
  startAgain(): void {
    this.#process = this.#spawn()
  }

  /** Sends a signal. */
  signal(name: NodeJS.Signals): void {
    this.#process.kill(name)
  }

  /** Resolves when it has ended: with its status, or with the signal that ended it. */
  async ended(): Promise<number | NodeJS.Signals> {
    const { exitCode, signalCode } = this.#process
    if (exitCode === null && signalCode === null) await once(this.#process, 'close')
    return this.#process.exitCode ?? this.#process.signalCode ?? -1
  }

  /** Ends it and removes its files. */
  async end(): Promise<void> {
    this.signal('SIGKILL')
    await this.ended()
    rmSync(this.folder, { recursive: true, force: true })
  }

  async #kill(signal: NodeJS.Signals): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once('close', resolve))
    this.#process.kill(signal)
    await ended
  }

  #spawn(): ChildProcess {
    const words = [process.execPath, this.#commandLine, 'serve', '--config', this.file]
    if (this.#fileKilobytesMax === 0)
      return spawn(words[0] ?? '', words.slice(1), { stdio: 'ignore' })
    // The shell gives its limit on to what it becomes.
    const limit = `ulimit -f ${this.#fileKilobytesMax}; exec "$@"`
    return spawn('bash', ['-c', limit, 'bash', ...words], { stdio: 'ignore' })
  }
}

function configurationOf(port: number, mailhostPort: number, more: MoreLines): string {
  const sections: Record<string, string> = {
    listen: `smtp = ["127.0.0.1:${port}"]\nper_address_max = 0\nrate_max = ""`,
    mailhost: `addresses = ["127.0.0.1:${mailhostPort}"]\nretry = "500ms"`,
    recipients: 'domains = ["example.test"]',
    'tests.headers': 'mode = "off"',
    log: 'to = "log"',
    process: 'user = ""',
    store: 'path = "store"',
    control: 'socket = "control.sock"',
    http: 'address = ""',
  }
  for (const [name, lines] of Object.entries(more)) {
    sections[name] = `${sections[name] ?? ''}\n${lines}`
  }
  const texts = Object.entries(sections).map(([name, lines]) => `[${name}]\n${lines}\n`)
  return `name = "mx.example.test"\n${texts.join('')}`
}
