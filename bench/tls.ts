/**
 * Question: what does TLS cost, shared by many processes and on every leg of the proxy?
 *
 * Five parts (bench/tls/): one session for many processes against a handshake for each message and
 * an open session of one's own; the transfer leg; messages in over STARTTLS; idle clients;
 * fairness. A part that lacks a program is left out by name. Takes about four minutes; --full,
 * twelve.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { messageOf } from '../src/base/errors.ts'
import { needsProgram, needsRoot } from '../test/support/needs.ts'
import { makeAuthority } from '../test/tls/support/certificates.ts'
import type { BenchOptions, BenchQuestion, BenchResult } from './bench.ts'
import { inboundRows } from './tls/inbound.ts'
import { sessionRows } from './tls/sessions.ts'
import { fairRow, idleRow } from './tls/standing.ts'
import { transferRows } from './tls/transfer.ts'

type Part = () => Promise<BenchResult>

/** `npm run bench tls`. */
export const tls: BenchQuestion = {
  name: 'tls',
  title: 'TLS: one session for many processes, and every leg of the proxy',
  run,
}

async function run(options: BenchOptions): Promise<BenchResult> {
  const authority = makeAuthority()
  const folder = mkdtempSync(join(tmpdir(), 'activemx-bench-tls-'))
  const { rounds, share } = sizeOf(options)
  const parts: Readonly<Record<string, Part>> = {
    sessions: () => sessionRows(authority, { rounds: 3 * rounds, share }),
    transfer: () =>
      transferRows(authority, folder, { rounds, messagesPerBurst: Math.ceil(400 * share) }),
    inbound: () => inboundRows(authority, folder, { rounds, messages: Math.ceil(600 * share) }),
    idle: () => idleRow(authority, folder, Math.ceil(10_000 * share)),
    fairness: () =>
      fairRow({ applications: 64 * share, sessions: 16 * share, minutes: 0.2 * rounds * share }),
  }
  const results: BenchResult[] = []
  try {
    for (const [name, part] of Object.entries(parts)) results.push(await tried(name, part))
  } finally {
    authority.remove()
    rmSync(folder, { recursive: true, force: true })
  }
  return {
    measurements: results.flatMap(({ measurements }) => measurements),
    bars: results.flatMap(({ bars }) => bars),
    notes: ['EC P-256 certificates, TLS 1.3, loopback', ...results.flatMap(({ notes }) => notes)],
  }
}

function sizeOf({ isQuick, isFull }: BenchOptions): { rounds: number; share: number } {
  if (isQuick) return { rounds: 1, share: 0.125 }
  return { rounds: isFull ? 7 : 2, share: 1 }
}

/** A part, or the reason why it is left out. */
async function tried(name: string, part: Part): Promise<BenchResult> {
  const missing =
    name === 'transfer' || name === 'inbound'
      ? (needsProgram('smtp-source', 'postfix', 'taskset') ?? needsRoot())
      : needsProgram('taskset')
  const reason = missing ?? (await part().catch((fault: unknown) => messageOf(fault)))
  return typeof reason === 'string'
    ? { measurements: [], bars: [], notes: [`${name} left out: ${reason}`] }
    : reason
}
