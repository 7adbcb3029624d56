/**
 * The library: what `import … from 'activemx'` gives.
 */
export { type PrefixColumns, PrefixColumnsBuilder } from './base/prefix-columns.ts'
export { createProxy, type Proxy, type ProxySettings } from './create-proxy.ts'
export type { ProxyStatus } from './edge/running-proxy.ts'
export { AddressTable } from './store/library-addresses.ts'
export type { AddAddressOptions, AddressEntry } from './tables/address-table.ts'
export type {
  AddOptions,
  IpMatch,
  IpOrigin,
  IpTableSizes,
  PrefixEntry,
  RemoveOptions,
  VerdictClass,
} from './tables/ip-table.ts'
export { IpTable } from './tables/library-table.ts'
export type {
  CallOptions,
  Lease,
  LeaseOptions,
  NewOptions,
  Outcome,
  ReadOutcome,
  SessionHandle,
  TlsCode,
  WriteOutcome,
} from './tls/api.ts'
export { newLeaseId } from './tls/api.ts'
export { TlsSession, TlsWrapper, type TlsWrapperOptions } from './tls/wrapper.ts'
