/**
 * The peer of the TLS bench, a process of its own: answers each KiB by 32 octets, swallows bulk,
 * and echoes on a Unix socket.
 */
import { readFileSync } from 'node:fs'
import net from 'node:net'
import tls from 'node:tls'

const [certificateFile = '', keyFile = '', unixPath = ''] = process.argv.slice(2)
const cert = readFileSync(certificateFile)
const answer = Buffer.alloc(32, 'y')

const server = tls.createServer({ cert, key: readFileSync(keyFile), noDelay: true }, (socket) => {
  let octets = 0
  socket.on('error', () => socket.destroy())
  socket.on('data', (chunk: Buffer) => {
    octets += chunk.length
    if (octets % 1024 === 0 && octets <= 1024 && chunk[0] === 0x78) socket.write(answer)
    if (octets >= 1024) octets = 0
  })
})
const echo = net.createServer((socket) => socket.on('data', () => socket.write(answer)))
echo.listen(unixPath, () =>
  server.listen(0, '127.0.0.1', () => {
    process.stdout.write(`${(server.address() as net.AddressInfo).port}\n`)
  }),
)
