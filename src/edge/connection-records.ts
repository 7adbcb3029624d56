/**
 * The records of a connection's life beside its verdicts: connect, pregreet, transfer, disconnect.
 */
import { endpointText } from '../base/endpoint.ts'
import type { CloseReason, Peer } from '../io/engine.ts'
import type { VerdictRecord } from '../journey/ports.ts'
import type {
  ConnectLogRecord,
  DisconnectLogRecord,
  PregreetLogRecord,
  TransferLogRecord,
} from '../log/records.ts'
import type { Mailhost } from '../transfer/mailhost.ts'

/** The thread has a new client. @param time wall clock, milliseconds, as in the others. */
export function connectRecordOf(peer: Peer, time: number): ConnectLogRecord {
  const { address: client, port, isTrusted } = peer
  const local = endpointText(peer.localAddress, peer.localPort)
  return { event: 'connect', time, client, port, local, isTrusted }
}

/** It talked before the greeting and was let in; who was not has a verdict of the gate. */
export function pregreetRecordOf(peer: Peer, octets: number, time: number): PregreetLogRecord {
  return {
    event: 'pregreet',
    time,
    client: peer.address,
    port: peer.port,
    octets,
    action: 'observe',
  }
}

/** The mailhost has answered for a message or its envelope. */
export function transferRecordOf(
  { id, client, mailhostReply, octets, ms }: VerdictRecord,
  { address, port }: Mailhost,
  time: number,
): TransferLogRecord {
  const mailhost = endpointText(address, port)
  return { event: 'transfer', time, id, client, mailhost, reply: mailhostReply, octets, ms }
}

/** The client is gone. */
export function disconnectRecordOf(
  { address, port }: Peer,
  reason: CloseReason,
  sums: Pick<DisconnectLogRecord, 'transactions' | 'octets' | 'ms'>,
  time: number,
): DisconnectLogRecord {
  return { event: 'disconnect', time, client: address, port, reason, ...sums }
}
