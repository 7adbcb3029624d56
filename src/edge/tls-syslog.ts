/**
 * The system log's way over TLS: `log.to = "syslog+tls://ADDRESS:PORT"`. Joins log and TLS
 * sessions.
 */
import { readFileSync } from 'node:fs'
import { messageOf, OperatingError } from '../base/errors.ts'
import { tlsSyslogStallMs } from '../base/limits.ts'
import type { Config } from '../config/schema.ts'
import type { LogSink, OpenTlsSyslog, SinkEvents } from '../log/sink.ts'
import type { Outcome } from '../tls/api.ts'
import { sharedNameOf } from '../tls/options.ts'
import { openTlsSyslog } from '../tls/syslog-sink.ts'
import { TlsWrapper } from '../tls/wrapper.ts'

/** Opens it with the configuration's certificate settings. Throws OperatingError LOG_OPEN. */
export const openSyslogOverTls: OpenTlsSyslog = (
  config: Config,
  server: { readonly address: string; readonly port: number },
  priority: number,
  events: SinkEvents,
): LogSink => {
  const { ca, servername, tag } = config.log
  const { address, port } = server
  const daemon = config.tlsDaemon.socket
  let last: Outcome['code'] = 'none'
  const onDaemon = ({ code, message }: Outcome): void => {
    const isNew = code !== last
    last = code
    if (code === 'none' || !isNew) return
    events.onFault(`the TLS daemon at ${daemon} does not serve the log: ${message}`)
  }
  const wrapper = new TlsWrapper({ daemon, onDaemon })
  const asked = {
    host: address,
    port,
    servername,
    stallMs: tlsSyslogStallMs,
    fallback: true,
    ...(ca === '' ? {} : { ca: readCa(ca) }),
  }
  const options = { ...asked, shared: sharedNameOf(`syslog-${address}:${port}`, asked) }
  return openTlsSyslog(wrapper, options, { priority, host: config.name, tag }, events)
}

function readCa(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    const message = `log.ca = ${file}: ${messageOf(cause)}; make it readable or unset it`
    throw new OperatingError('LOG_OPEN', message, { cause })
  }
}
