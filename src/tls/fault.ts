/**
 * What Node's sockets and TLS report, as the codes of the one interface. Pure.
 *
 * `syscall` is what TCP, DNS and the kernel say (an error with a system call, or a bare E… code);
 * everything else that a TLSSocket emits speaks of the handshake, a certificate or a record: `ssl`.
 */
import { messageOf } from '../base/errors.ts'
import { failure, type Outcome } from './api.ts'

/** The outcome that an error of a socket stands for. */
export function faultOf(error: unknown): Outcome {
  const { code, syscall } = error as { code?: unknown; syscall?: unknown }
  const isSystem = typeof code === 'string' && /^E[A-Z0-9]+$/.test(code) && code !== 'EPROTO'
  const isSyscall = isSystem || (typeof syscall === 'string' && code !== 'EPROTO')
  const label = typeof code === 'string' && code !== '' ? `${code}: ` : ''
  const text = messageOf(error)
  const message = text.startsWith(label) ? text : `${label}${text}`
  return failure(isSyscall ? 'syscall' : 'ssl', message)
}

/** A deadline of ours passed. */
export function timedOut(what: string, afterMs: number): Outcome {
  return failure('syscall', `ETIMEDOUT: ${what} took longer than ${afterMs} ms`)
}
