/**
 * An instance without lists, for tests of what asks them.
 */
import type { ListService } from '../../src/edge/list-service.ts'

/** An instance without lists. */
export const noLists: ListService = {
  gate: { blacklist: 0, trusted: 0, proxyProtocolFrom: 0, classRules: [] },
  exempt: { relay: 0, dialup: 0 },
  hasTrustedNames: false,
  tableOf: () => undefined,
  isWhitelisted: () => false,
  listsOf: () => [],
  isTrustedName: () => false,
  isRelayExempt: () => false,
  isDialupExempt: () => false,
  isFeedbackExempt: () => false,
  neverBlockReason: () => '',
  holdingsOf: () => [],
  nameHoldingsOf: () => [],
  reports: [],
  loading: undefined,
  enterDynamic: () => undefined,
  removeDynamic: (prefix) => prefix,
  reload: async () => undefined,
  close: async () => undefined,
}
