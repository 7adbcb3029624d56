/**
 * The system log's way over TLS: `log.to = "syslog+tls://ADDRESS:PORT"`. Joins log and TLS
 * sessions.
 */
import { tlsSyslogStallMs } from '../base/limits.ts'
import type { Config } from '../config/schema.ts'
import type { LogSink, OpenTlsSyslog, SinkEvents } from '../log/sink.ts'
import type { Outcome } from '../tls/api.ts'
import { sharedNameOf } from '../tls/options.ts'
import { openTlsSyslog } from '../tls/syslog-sink.ts'
import { TlsWrapper } from '../tls/wrapper.ts'
import { readAuthorities } from './policies.ts'

/** Opens it with the configuration's certificate settings. Throws OperatingError for `log.ca`. */
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
    ...(ca === '' ? {} : { ca: readAuthorities('log.ca', ca) }),
  }
  const options = { ...asked, shared: sharedNameOf(`syslog-${address}:${port}`, asked) }
  return openTlsSyslog(wrapper, options, { priority, host: config.name, tag }, events)
}
