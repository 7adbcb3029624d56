/**
 * A port whose host answers no connection: the queue of those that nobody accepts is full, so the
 * kernel drops what comes. To who connects it is a firewall that swallows packets.
 */
import { spawn } from 'node:child_process'
import { connect, type Socket } from 'node:net'

/** A port that stays deaf until it is ended. */
export interface DeafPort {
  end(): Promise<void>
}

/** Listens with room for one connection and never accepts, in a process that sleeps for ever. */
const sleeper = `
const [, address, port] = process.argv
require('node:net').createServer().listen({ host: address, port: Number(port), backlog: 1 }, () => {
  require('node:fs').writeSync(1, 'ready')
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
})`

/** Makes the port deaf: resolves when connections to it are no longer answered. */
export async function startDeafPort(address: string, port: number): Promise<DeafPort> {
  const child = spawn(process.execPath, ['-e', sleeper, address, `${port}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = new Promise((resolve) => child.once('close', resolve))
  await new Promise((resolve) => child.stdout.once('data', resolve))
  const held: Socket[] = []
  while (await isAnswered(address, port, held)) {
    if (held.length > 100) throw new Error(`${address}:${port} takes every connection`)
  }
  return {
    end: async () => {
      for (const socket of held) socket.destroy()
      child.kill('SIGKILL')
      await ended
    },
  }
}

/** One more connection, which is kept; false where it is not made within a while. */
function isAnswered(address: string, port: number, held: Socket[]): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port })
    const timer = setTimeout(() => {
      socket.destroy()
      resolve(false)
    }, 1000)
    socket.on('error', () => undefined)
    socket.once('connect', () => {
      clearTimeout(timer)
      held.push(socket)
      resolve(true)
    })
  })
}
