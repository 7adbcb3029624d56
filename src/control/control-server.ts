/**
 * The control socket of a running instance: mode 0600, and root or the own user by peer
 * credentials. Without the addon the mode alone keeps others out, so a loosened one admits nobody.
 *
 * Commands are a table of handlers that the composition root makes. A handler may be slow; it is
 * one promise and blocks nothing. What it throws is a fault of one line for the client.
 */
import { statSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { loadAddon } from '../addon/addon.ts'
import { isOwnUser, peerCredentials } from '../addon/peer-credentials.ts'
import { messageOf, OperatingError } from '../base/errors.ts'
import {
  controlConnectionsMax,
  controlDeniedMax,
  controlDeniedMsMax,
  controlLineOctetsMax,
} from '../base/limits.ts'
import { listenAt } from '../files/unix-socket.ts'
import { type ControlMessage, type ControlRequest, LineCutter } from './protocol.ts'

/** Lines to the client before the answer, and the news that it has hung up. */
export interface ControlStream {
  line(text: string): void
  /** Resolves when the client is gone. */
  readonly gone: Promise<void>
}

/** Answers one command; what it throws or rejects with is the client's fault line. */
export type ControlHandler = (
  given: Readonly<Record<string, unknown>>,
  stream: ControlStream,
) => unknown

/** An open control socket. */
export interface ControlServer {
  readonly path: string
  close(): Promise<void>
}

/** Opens the socket. Rejects with OperatingError CONTROL_SOCKET. */
export async function openControlServer(
  path: string,
  handlers: Readonly<Record<string, ControlHandler>>,
): Promise<ControlServer> {
  const clients = new Set<Socket>()
  // Apart: they must not take the places of those who may ask.
  const denied = new Set<Socket>()
  const server = createServer((socket) => {
    const mayAsk = isAdmitted(socket, path)
    const [places, most] = mayAsk ? [clients, controlConnectionsMax] : [denied, controlDeniedMax]
    if (places.size >= most) {
      socket.destroy()
      return
    }
    places.add(socket)
    socket.on('close', () => places.delete(socket))
    if (mayAsk) serveClient(socket, handlers)
    else deny(socket)
  })
  await listenAt(server, {
    path,
    called: 'control.socket =',
    code: 'CONTROL_SOCKET',
    folderMode: 0o755,
  })
  return {
    path,
    close: () =>
      new Promise((done) => {
        for (const socket of [...clients, ...denied]) socket.destroy()
        server.close(() => done())
      }),
  }
}

function isAdmitted(socket: Socket, path: string): boolean {
  if (loadAddon() !== undefined) return isOwnUser(peerCredentials(socket))
  try {
    return (statSync(path).mode & 0o077) === 0
  } catch {
    // Taken away or replaced meanwhile: nobody knows who may come by it.
    return false
  }
}

function deny(socket: Socket): void {
  // Its request is dropped: unread it would keep the connection for ever, and so would who stays.
  socket.on('error', () => socket.destroy()).resume()
  const timer = setTimeout(() => socket.destroy(), controlDeniedMsMax)
  socket.on('close', () => clearTimeout(timer))
  send(socket, {
    kind: 'fault',
    code: 'CONTROL_DENIED',
    message: 'only root and the own user may ask',
  })
  socket.end()
}

function send(socket: Socket, message: ControlMessage): void {
  if (socket.writable) socket.write(`${JSON.stringify(message)}\n`)
}

function serveClient(socket: Socket, handlers: Readonly<Record<string, ControlHandler>>): void {
  const gone = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  socket.on('error', () => socket.destroy())
  const stream = {
    // A client that does not read loses lines, not our memory.
    line: (line: string) => {
      if (socket.writableLength < controlLineOctetsMax) send(socket, { kind: 'line', line })
    },
    gone,
  }
  const cutter = new LineCutter(controlLineOctetsMax)
  let turn: Promise<void> = Promise.resolve()
  socket.setEncoding('utf8')
  socket.on('data', (text: string) => {
    const isShort = cutter.take(text, (line) => {
      turn = turn.then(async () => send(socket, await answer(line, handlers, stream)))
    })
    if (!isShort) socket.destroy()
  })
}

async function answer(
  line: string,
  handlers: Readonly<Record<string, ControlHandler>>,
  stream: ControlStream,
): Promise<ControlMessage> {
  try {
    const { command, arguments: given } = JSON.parse(line) as ControlRequest
    const handler = Object.hasOwn(handlers, command) ? handlers[command] : undefined
    if (handler === undefined) {
      const known = Object.keys(handlers).join(', ')
      const message = `${JSON.stringify(command)} is no command of this instance; it has ${known}`
      return { kind: 'fault', code: 'CONTROL_COMMAND', message }
    }
    return { kind: 'answer', answer: (await handler(given ?? {}, stream)) ?? null }
  } catch (error) {
    const code = error instanceof OperatingError ? error.code : 'CONTROL_FAULT'
    return { kind: 'fault', code, message: messageOf(error) }
  }
}
