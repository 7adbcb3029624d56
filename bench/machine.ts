/**
 * On what a result was measured.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus, loadavg, release, totalmem } from 'node:os'

/** What a result was measured on; beside what is named, versions of what was compared with. */
export interface Machine {
  readonly cores: number
  /** Above the number of cores, other work was in the way. */
  readonly loadBefore: number
  readonly [name: string]: string | number
}

/** Machine, commit and versions, for the head of a result file. */
export function describeMachine(): Machine {
  return {
    processor: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    loadBefore: Number(loadavg()[0]?.toFixed(1)),
    node: process.version,
    commit: commit(),
    date: new Date().toISOString().slice(0, 10),
    ...versionsOf('benchmark', 'maxmind', 'cidr-matcher', 'ipaddr.js'),
  }
}

function commit(): string {
  const git = (...options: string[]) => execFileSync('git', options, { encoding: 'utf8' }).trim()
  try {
    const isChanged = git('status', '--porcelain', '--untracked-files=no') !== ''
    return git('rev-parse', '--short', 'HEAD') + (isChanged ? ' with changes' : '')
  } catch {
    return 'no repository'
  }
}

function versionsOf(...names: readonly string[]): Readonly<Record<string, string>> {
  const versionOf = (name: string): string => {
    const content: unknown = JSON.parse(readFileSync(`node_modules/${name}/package.json`, 'utf8'))
    return (content as { version: string }).version
  }
  return Object.fromEntries(names.map((name) => [name, versionOf(name)]))
}
