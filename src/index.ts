/**
 * The library: what `import … from 'activemx'` gives.
 */
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
