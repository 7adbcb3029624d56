/**
 * The lists of the demo: one network on the blacklist, and whatever feedback enters.
 */
import type { ListService } from '../../src/edge/list-service.ts'
import { noLists } from '../../src/edge/list-service.ts'
import type { IpTable } from '../../src/tables/ip-table.ts'
import { referenceTable } from '../../src/tables/reference-table.ts'

/** Handle of the only table. Negative: no native one, so the twin gate serves and asks `tableOf`. */
const tableHandle = -1

const rule = {
  verdictClass: 0,
  action: 'refuse',
  reply: '554 5.7.1 Refused: {address} is listed, id={id}\r\n',
} as const

/** Lists with this network refused; `onListed` hears of each entry of feedback. */
export function newDemoLists(network: string, onListed: (prefix: string) => void): ListService {
  const table: IpTable = referenceTable.fromPrefixes([{ prefix: network, list: 'flood' }])
  return {
    ...noLists,
    gate: { blacklist: tableHandle, trusted: 0, proxyProtocolFrom: 0, classRules: [rule] },
    tableOf: (handle) =>
      handle === tableHandle ? (address) => table.lookupClass(address) : undefined,
    listsOf: (verdictClass) => table.listsOf(verdictClass),
    enterDynamic: ({ prefix, ttlMs }) => {
      table.add(prefix, { list: 'dynamic', ...(ttlMs === 0 ? {} : { ttlMs }) })
      onListed(prefix)
    },
    removeDynamic: (prefix) => table.remove(prefix, { list: 'dynamic', ttlMs: 1 }),
  }
}
