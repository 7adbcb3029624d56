/** An engine behind a gate with its clients and servers: what the engine's contract stands on. */
import { createServer, type Server, type Socket } from 'node:net'
import type { Engine, EngineHandler, EngineOptions } from '../../src/io/engine.ts'
import type { Gate } from '../../src/io/gate.ts'
import { openPolicy } from './policy.ts'
import { connectClient, type RawClient } from './raw-client.ts'
import { Recorder } from './recorder.ts'

/** What a suite runs the contract on. */
export interface EngineUnderTest {
  readonly newEngine: (handler: EngineHandler, options: EngineOptions) => Engine
  readonly newGate: () => Gate
}

/** What every client of the contract is greeted with. */
export const greeting = '220 mx.example.test ESMTP\r\n'

/** Engine, gate, clients and servers of one test, made and taken down around it. */
export class EngineWorld {
  readonly recorder = new Recorder()
  readonly engine: Engine
  readonly gate: Gate
  readonly #clients: RawClient[] = []
  readonly #servers: Server[] = []
  port = 0

  constructor(parts: EngineUnderTest) {
    this.engine = parts.newEngine(this.recorder, { clientDeadlineMs: 0 })
    this.gate = parts.newGate()
  }

  async open(): Promise<void> {
    this.gate.configure(openPolicy({ greeting }))
    const [address = ''] = await this.gate.listen(['127.0.0.1:0'])
    this.port = Number(address.split(':')[1])
    this.gate.addWorker(this.engine.token)
  }

  /** A client that has its greeting. */
  readonly greeted = async (): Promise<RawClient> => {
    const client = await connectClient(this.port)
    this.#clients.push(client)
    await client.sees(greeting)
    return client
  }

  /** A client that has spoken, and its id. */
  readonly opened = async (text = 'EHLO x\r\n'): Promise<{ client: RawClient; id: number }> => {
    const { recorder } = this
    const opens = () => recorder.told.filter((one) => one.kind === 'open')
    const known = opens().length
    const client = await this.greeted()
    client.send(text)
    await recorder.until(() => opens().length > known)
    const id = opens().at(-1)?.id ?? -1
    await recorder.until(() => recorder.dataOf(id).length >= text.length)
    return { client, id }
  }

  /** The port of a server of the test's own; `onSocket` gets what it accepts. */
  readonly server = async (
    onSocket: (socket: Socket) => void,
    host = '127.0.0.1',
  ): Promise<number> => {
    const made = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => socket.destroy())
      onSocket(socket)
    })
    this.#servers.push(made)
    await new Promise<void>((resolve) => made.listen(0, host, resolve))
    const address = made.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }

  /** Nobody listens at the servers' ports any more. */
  readonly closeServers = async (): Promise<void> => {
    const closing = this.#servers.splice(0)
    await Promise.all(closing.map((one) => new Promise((resolve) => one.close(resolve))))
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.socket.destroy()
    for (const server of this.#servers) server.close()
    const { engine, recorder } = this
    recorder.reactions = { onOpen: (id) => engine.close(id), onDeadline: (id) => engine.close(id) }
    for (const one of recorder.told) engine.reset(one.id)
    await engine.stop()
    await this.gate.close()
  }
}
