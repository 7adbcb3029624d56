/**
 * Identity: does the name that probes say HELO with lead to the address they come from, and back?
 *
 * Servers that are asked by somebody without such a name refuse, and their refusals prove nothing.
 * What is wrong is told and nothing more: the DNS may be late, and mail does not wait for it.
 */
import type { NameService } from './dns.ts'
import type { ProbeSettings } from './settings.ts'

/** What is wrong with our identity, a sentence each; none: it leads forward and back. */
export async function identityFaults(
  { helo, sources }: Pick<ProbeSettings, 'helo' | 'sources'>,
  names: NameService,
): Promise<readonly string[]> {
  if (helo === '') return []
  const forward = await names.addresses(helo)
  if (forward.kind !== 'found') {
    const reason = forward.kind === 'trouble' ? forward.reason : 'it has no address'
    return [`probe.helo = "${helo}": ${reason}; hosts that are asked may refuse us`]
  }
  const faults = sources.map((source) => faultOf(source, helo, forward.records, names))
  return (await Promise.all(faults)).filter((fault) => fault !== '')
}

async function faultOf(
  source: string,
  helo: string,
  addresses: readonly string[],
  names: NameService,
): Promise<string> {
  const remedy = 'make the name and the address lead to each other'
  if (!addresses.includes(source)) {
    return `probe.helo = "${helo}" does not lead to probe.source ${source}; ${remedy}`
  }
  const back = await names.names(source)
  if (back.kind === 'found' && back.records.includes(helo.toLowerCase())) return ''
  const found = back.kind === 'found' ? back.records.join(', ') : 'no name'
  const said = back.kind === 'trouble' ? back.reason : found
  return `probe.source ${source} does not lead back to probe.helo = "${helo}": ${said}; ${remedy}`
}
