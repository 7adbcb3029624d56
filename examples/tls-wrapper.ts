/**
 * One TLS session for many processes: run this twice at the same time, beside
 * `activemx tls daemon --socket /tmp/tls.sock`; the server sees one handshake.
 *
 * Usage: node tls-wrapper.js HOST PORT [CA-FILE]
 */
import { readFileSync } from 'node:fs'
import { TlsWrapper } from 'activemx'

const [host = 'localhost', port = '6514', caFile] = process.argv.slice(2)
const wrapper = new TlsWrapper({ daemon: '/tmp/tls.sock' })
const session = await wrapper.new({
  shared: 'example',
  host,
  port: Number(port),
  fallback: true, // a session of our own where the daemon is away
  ...(caFile === undefined ? {} : { ca: readFileSync(caFile, 'utf8') }),
})
const connected = await session.connect()
if (connected.code === 'none') {
  const lease = await session.lease() // nobody else writes or reads until it is released
  await session.write(`hello from ${process.pid}\n`, { lease: lease.id })
  const { code, data } = await session.read(1024, { lease: lease.id })
  console.log(session.route, code, Buffer.from(data).toString())
  await lease.release()
} else console.error(connected.code, connected.message)
await session.free()
await wrapper.close()
