/**
 * Haraka as a peer: from npm into out/haraka at the first use, since nothing of activemx needs it.
 * Its own defaults stand, but for what the load asks: one process, the recipients' domain, the
 * queue.
 */
import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort, portAnswers } from '../../test/support/ports.ts'
import { type Server, serverOf, startOn } from '../processes.ts'

const home = 'out/haraka'
const version = '3.3.4'

/**
 * Versions that registries still serve in place of those that its dependencies name; they read MIME
 * parts, which no load of ours has.
 */
const overrides = { 'encoding-japanese': '2.2.0', libqp: '2.1.1' }

/** How Haraka is to serve. */
export interface HarakaOptions {
  /** Core that it runs on. */
  readonly core: number
  /** Folder below which its configuration goes. */
  readonly folder: string
  /** Lines of `config/plugins`. */
  readonly plugins: readonly string[]
  /** Plugins of the bench's own, JavaScript by name. */
  readonly code?: Readonly<Record<string, string>>
  /** Further files of `config/`, by name. */
  readonly files?: Readonly<Record<string, string>>
}

/** Starts Haraka; rejects when it cannot be installed or does not answer. */
export async function startHaraka(options: HarakaOptions): Promise<Server> {
  install()
  const port = await freePort()
  const folder = mkdtempSync(join(options.folder, 'haraka-'))
  const config = join(folder, 'config')
  mkdirSync(config)
  copyFileSync(
    join(home, 'node_modules/Haraka/config/connection.ini'),
    join(config, 'connection.ini'),
  )
  const files = {
    me: 'mx.example.org\n',
    plugins: `${options.plugins.join('\n')}\n`,
    host_list: 'example.org\n',
    'smtp.ini': `listen=127.0.0.1:${port}\nnodes=0\n`,
    // It may leave its log out, which is a favour.
    'log.ini': '[main]\nlevel=crit\nformat=default\n',
    ...options.files,
  }
  for (const [name, text] of Object.entries(files)) writeFileSync(join(config, name), text)
  mkdirSync(join(folder, 'plugins'))
  for (const [name, text] of Object.entries(options.code ?? {})) {
    writeFileSync(join(folder, 'plugins', `${name}.js`), text)
  }
  const program = join(home, 'node_modules/Haraka/bin/haraka')
  const process = startOn(options.core, 'node', program, '-c', folder)
  await portAnswers(port)
  return serverOf('Haraka', port, process)
}

function install(): void {
  if (existsSync(join(home, 'node_modules/Haraka'))) return
  mkdirSync(home, { recursive: true })
  const manifest = { private: true, dependencies: { Haraka: version }, overrides }
  writeFileSync(join(home, 'package.json'), JSON.stringify(manifest))
  const words = ['install', '--ignore-scripts', '--omit=optional', '--no-audit', '--no-fund']
  execFileSync('npm', words, { cwd: home, stdio: ['ignore', 'ignore', 'inherit'] })
}
