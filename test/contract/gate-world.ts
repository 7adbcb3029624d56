/** A gate with its engine and clients: what the parts of the gate's contract stand on. */
import type { Engine, EngineHandler, EngineOptions } from '../../src/io/engine.ts'
import type { Gate, GatePolicy } from '../../src/io/gate.ts'
import { openPolicy } from './policy.ts'
import { connectClient, type RawClient } from './raw-client.ts'
import { Recorder } from './recorder.ts'

/** What a suite runs the contract on. */
export interface GateUnderTest {
  readonly newEngine: (handler: EngineHandler, options: EngineOptions) => Engine
  readonly newGate: () => Gate
  /** A table in which each prefix is a list of its own. */
  readonly newTable: (...prefixes: readonly string[]) => TestTable
}

/** A table as policies name it. */
export interface TestTable {
  readonly handle: number
  readonly classOf: (address: string) => number
}

/** Gate, engine and clients of one test, made and taken down around it. */
export class GateWorld {
  readonly recorder = new Recorder()
  readonly engine: Engine
  readonly gate: Gate
  readonly #clients: RawClient[] = []
  port = 0

  constructor(parts: GateUnderTest) {
    this.engine = parts.newEngine(this.recorder, { clientDeadlineMs: 0 })
    this.gate = parts.newGate()
  }

  async open(differences: Partial<GatePolicy> = {}): Promise<void> {
    this.gate.configure(openPolicy(differences))
    const [address = ''] = await this.gate.listen(['127.0.0.1:0'])
    this.port = Number(address.split(':')[1])
    this.gate.addWorker(this.engine.token)
  }

  async client(from?: string): Promise<RawClient> {
    const client = await connectClient(this.port, from)
    this.#clients.push(client)
    return client
  }

  /** A client that has its greeting. */
  async greeted(from?: string): Promise<RawClient> {
    const client = await this.client(from)
    await client.sees('220 mx.example.test')
    return client
  }

  /** What a client gets that says nothing. */
  async answerTo(from?: string): Promise<string> {
    const client = await this.client(from)
    await client.ends()
    return client.text
  }

  async until(isReached: () => boolean): Promise<void> {
    while (!isReached()) await new Promise(setImmediate)
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.socket.destroy()
    const { engine, recorder } = this
    recorder.reactions = { onOpen: (id) => engine.close(id), onDeadline: (id) => engine.close(id) }
    for (const one of recorder.told) engine.reset(one.id)
    await engine.stop()
    await this.gate.close()
  }
}
