/**
 * A server that takes connections and never says a word; tells its port, and on request how many
 * connections are open once all that were begun have come.
 */
import { createServer } from 'node:net'

let open = 0
const server = createServer((socket) => {
  open++
  socket.on('error', () => socket.destroy())
  socket.on('close', () => open--)
})
server.listen({ port: 0, host: '0.0.0.0', backlog: 20_000 }, () => {
  const bound = server.address()
  process.send?.(typeof bound === 'object' && bound !== null ? bound.port : 0)
})
process.on('message', () => {
  let last = -1
  const timer = setInterval(() => {
    if (open === last) {
      clearInterval(timer)
      process.send?.(open)
    }
    last = open
  }, 500)
})
