/**
 * What is wrong with the files that a configuration names, and with what else of the machine it
 * needs: judged alike by `check-config`, start and reload, as the user who asks. Feeds are fetched
 * later and not looked at.
 */
import { accessSync, constants, readFileSync, statSync } from 'node:fs'
import { dirname, isAbsolute } from 'node:path'
import { messageOf } from '../base/errors.ts'
import { parseHeaderRules } from '../checks/header-rules.ts'
import { type ConfigFault, faultLine, type LoadedConfig, loadConfig } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { InboundTls } from '../tls/inbound.ts'
import { readFilesOf } from './places.ts'
import { authoritiesFault, certificatePairsOf, readPolicyFiles } from './policies.ts'
import { ownerOf } from './privileges.ts'
import { readNamePatterns } from './probe-settings.ts'

/** Faults stop a start; warnings do not. */
export interface FileReport {
  readonly faults: readonly ConfigFault[]
  /** One line each. */
  readonly warnings: readonly string[]
}

/** Reads a configuration that is to be taken: every fault of its text, else of its files. */
export function loadWithFiles(file: string): LoadedConfig {
  const loaded = loadConfig(file)
  const faults = loaded.ok ? reportOnFiles(loaded.value).faults : []
  return faults.length > 0 ? { ok: false, error: faults } : loaded
}

/** Reads the files. Every fault at once. */
export function reportOnFiles(config: Config): FileReport {
  const unreadable = unreadableFiles(config)
  const isReadable = (key: string): boolean => !unreadable.some((fault) => fault.key === key)
  // Trouble with one list stops nothing: what was kept of it serves (B25).
  const isKept = ({ key }: ConfigFault): boolean => /^lists\..*\.file$/.test(key)
  const patterns = isReadable('tests.dialup.patterns') ? reportOnPatterns(config) : nothing
  const found = [
    ...unreadable.filter((fault) => !isKept(fault)),
    ...(isReadable('tests.headers.rules') ? headerRuleFaults(config) : []),
    ...certificateFaults(config, isReadable),
    ...authorityFaults(config, isReadable),
    ...logFaults(config),
    ...userFaults(config),
    ...patterns.faults,
  ]
  const missing = unreadable.filter(isKept).map(faultLine)
  return {
    faults: found.length > 0 ? found : startFaults(config),
    warnings: [
      ...missing.map((line) => `${line}; its last good state serves, if any`),
      ...patterns.warnings,
    ],
  }
}

const nothing: FileReport = { faults: [], warnings: [] }

function unreadableFiles(config: Config): readonly ConfigFault[] {
  return readFilesOf(config).flatMap(({ name: key, path }) => {
    try {
      accessSync(path, constants.R_OK)
      return statSync(path).isDirectory() ? [faultOf(key, path, 'is a folder; name a file')] : []
    } catch (error) {
      return [faultOf(key, path, `not readable: ${messageOf(error)}`)]
    }
  })
}

function headerRuleFaults({ tests }: Config): readonly ConfigFault[] {
  const { rules } = tests.headers
  if (rules === '') return []
  const { faults } = parseHeaderRules(readFileSync(rules, 'utf8'), rules)
  return faults.map((fault) => faultOf('tests.headers.rules', rules, `${fault}; mend the line`))
}

/** What else start would find, which reads the same files; one fault, named in its own words. */
function startFaults(config: Config): readonly ConfigFault[] {
  try {
    readPolicyFiles(config)
    return []
  } catch (error) {
    return [{ key: '', value: '', remedy: messageOf(error) }]
  }
}

function certificateFaults(
  config: Config,
  isReadable: (key: string) => boolean,
): readonly ConfigFault[] {
  const service = { versionMin: config.tls.versionMin, service: config.name } as const
  return certificatePairsOf(config).flatMap(({ names, certificate, key, place }) => {
    if (!isReadable(`${place}.certificate`) || !isReadable(`${place}.key`)) return []
    try {
      const pair = { certificate: textOf(certificate), key: textOf(key), names }
      // Its tickets are never given.
      const ticketSecret = new Uint8Array(32)
      new InboundTls({ ...service, certificates: [pair], ticketSecret }, Date.now)
      return []
    } catch (error) {
      const remedy = `${messageOf(error)}; give a chain and its own key`
      return [faultOf(`${place}.certificate`, certificate, remedy)]
    }
  })
}

function authorityFaults(
  { mailhost, log }: Config,
  isReadable: (key: string) => boolean,
): readonly ConfigFault[] {
  const files = { 'mailhost.ca': mailhost.ca, 'log.ca': log.ca }
  return Object.entries(files).flatMap(([key, file]) => {
    const fault = file === '' || !isReadable(key) ? '' : authoritiesFault(textOf(file))
    return fault === '' ? [] : [faultOf(key, file, fault)]
  })
}

/**
 * A log file is opened for appending, or made. A pipe or a device, as /dev/stdout may be, is not
 * judged: root opened it before the service dropped to its user, who may not.
 */
function logFaults({ log }: Config): readonly ConfigFault[] {
  const { to } = log
  if (!isAbsolute(to)) return []
  const remedy = 'name a file in a folder that is there and writable'
  try {
    const found = statSync(to, { throwIfNoEntry: false })
    if (found !== undefined && !found.isFile() && !found.isDirectory()) return []
    const isMade = found === undefined
    const written = isMade ? dirname(to) : to
    if (statSync(written).isDirectory() !== isMade) {
      return [faultOf('log.to', to, `${written} is ${isMade ? 'no' : 'a'} folder; ${remedy}`)]
    }
    accessSync(written, constants.W_OK)
    return []
  } catch (error) {
    return [faultOf('log.to', to, `${messageOf(error)}; ${remedy}`)]
  }
}

/** Nobody but root drops to another user. */
function userFaults({ process: { user } }: Config): readonly ConfigFault[] {
  if (user === '' || process.getuid?.() !== 0) return []
  const remedy = 'name a user that exists'
  try {
    if (ownerOf(user).uid !== 0) return []
    return [faultOf('process.user', user, `is root; ${remedy} and is not, or "" to stay root`)]
  } catch (error) {
    return [faultOf('process.user', user, `${messageOf(error)}; ${remedy}, or "" to stay root`)]
  }
}

function reportOnPatterns(config: Config): FileReport {
  const warnings: string[] = []
  try {
    readNamePatterns(config, (text) => void warnings.push(text))
    return { faults: [], warnings }
  } catch (error) {
    const { patterns } = config.tests.dialup
    return { faults: [faultOf('tests.dialup.patterns', patterns, messageOf(error))], warnings }
  }
}

function faultOf(key: string, path: string, remedy: string): ConfigFault {
  return { key, value: JSON.stringify(path), remedy }
}

function textOf(file: string): string {
  return file === '' ? '' : readFileSync(file, 'utf8')
}
