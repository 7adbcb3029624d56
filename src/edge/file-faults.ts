/**
 * What is wrong with the files that a configuration names, as start and reload would find it: they
 * are read by the same readers. For `check-config`; feeds are fetched later and not looked at.
 */
import { accessSync, constants, readFileSync } from 'node:fs'
import { messageOf } from '../base/errors.ts'
import { parseHeaderRules } from '../checks/header-rules.ts'
import { type ConfigFault, faultLine } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { InboundTls } from '../tls/inbound.ts'
import { readFilesOf } from './places.ts'
import { certificatePairsOf, readPolicyFiles } from './policies.ts'
import { readNamePatterns } from './probe-settings.ts'

/** Faults stop a start; warnings do not. */
export interface FileReport {
  readonly faults: readonly ConfigFault[]
  /** One line each. */
  readonly warnings: readonly string[]
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
      return []
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
