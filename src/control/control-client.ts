/**
 * Asking a running instance: one request, its lines, its answer.
 */
import { connect } from 'node:net'
import { messageOf, OperatingError } from '../base/errors.ts'
import { controlAnswerOctetsMax } from '../base/limits.ts'
import { type ControlMessage, LineCutter } from './protocol.ts'

/** What is asked, and who takes the lines that come before the answer. */
export interface Asking {
  readonly socket: string
  readonly command: string
  readonly arguments?: Readonly<Record<string, unknown>>
  readonly onLine?: (line: string) => void
  /** Ends a stream from this side: then the answer is undefined. */
  readonly signal?: AbortSignal
}

/**
 * Asks and resolves with the answer. Rejects with OperatingError: CONTROL_AWAY when no instance
 * listens there, or with the code and message of the instance's own fault.
 */
export function askInstance(asking: Asking): Promise<unknown> {
  const { socket: path, command, onLine, signal } = asking
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    const cutter = new LineCutter(controlAnswerOctetsMax)
    const fail = (code: string, message: string): void => {
      socket.destroy()
      reject(new OperatingError(code, message))
    }
    const onMessage = (line: string): void => {
      const message = JSON.parse(line) as ControlMessage
      if (message.kind === 'line') onLine?.(message.line)
      else if (message.kind === 'fault') fail(message.code, message.message)
      else {
        resolve(message.answer)
        socket.end()
      }
    }
    signal?.addEventListener('abort', () => {
      resolve(undefined)
      socket.destroy()
    })
    socket.setEncoding('utf8')
    socket.on('connect', () =>
      socket.write(`${JSON.stringify({ command, arguments: asking.arguments ?? {} })}\n`),
    )
    socket.on('data', (text: string) => {
      if (!cutter.take(text, onMessage)) fail('CONTROL_FAULT', 'the answer is too long')
    })
    socket.on('error', (error) =>
      fail(
        'CONTROL_AWAY',
        `control.socket = ${path}: ${messageOf(error)}; is the instance running? (--socket, --config)`,
      ),
    )
    socket.on('close', () =>
      fail('CONTROL_AWAY', `control.socket = ${path}: closed without answer`),
    )
  })
}
