/**
 * What a running instance answers on its control socket: one handler a command, over parts that the
 * composition root has made. A part that is not there is a fault that says so.
 */
import { messageOf } from '../base/errors.ts'
import { newPrefixCell, parsePrefix } from '../base/ip-address.ts'
import { Turns } from '../base/turns.ts'
import { differencesOf, inForce } from '../config/differences.ts'
import { faultLine, type LoadedConfig } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import type { ControlHandler } from '../control/control-server.ts'
import { reloadInstance } from '../edge/reload.ts'
import type { RunningProxy } from '../edge/running-proxy.ts'
import type { SystemLog } from '../log/system-log.ts'
import { textOf, usage } from './given.ts'
import { ListCommands, type ListParts } from './list-commands.ts'

/** The parts of a running instance that commands touch. */
export interface InstanceParts extends ListParts {
  /** The configuration file, '' where there is none. */
  readonly file: string
  /** Takes the configuration anew. */
  readonly load: () => LoadedConfig
  readonly log: SystemLog
  readonly proxy: RunningProxy
  /** More commands: probes, cache, lookup. */
  readonly more?: Readonly<Record<string, ControlHandler>>
}

/** What a reload did. */
export interface ReloadAnswer {
  readonly ok: boolean
  readonly changes: readonly string[]
  readonly faults: readonly string[]
  readonly restart: readonly string[]
}

/** A running instance as its commands see it; holds which configuration is in force. */
export class InstanceCommands {
  readonly #parts: InstanceParts
  readonly #turns = new Turns()
  #config: Config

  constructor(config: Config, parts: InstanceParts) {
    this.#config = config
    this.#parts = parts
  }

  /**
   * Takes the file anew, opens the log again; a fault is told and the last good one stays whole.
   */
  reload(): Promise<ReloadAnswer> {
    return this.#turns.take(async () => {
      const { load, log } = this.#parts
      const answer = await this.#take(load)
      log.log.record({ event: 'reload', time: Date.now(), ...answer })
      log.reopen()
      return answer
    })
  }

  async #take(load: () => LoadedConfig): Promise<ReloadAnswer> {
    const { log, proxy } = this.#parts
    try {
      const loaded = load()
      if (!loaded.ok) return faulty(loaded.error.map(faultLine))
      const { reload: changes, restart } = differencesOf(this.#config, loaded.value)
      await reloadInstance(loaded.value, log, proxy)
      this.#config = inForce(this.#config, loaded.value)
      return { ok: true, changes, faults: [], restart }
    } catch (error) {
      return faulty([messageOf(error)])
    }
  }

  /** The handlers of the control socket. */
  handlers(): Readonly<Record<string, ControlHandler>> {
    return {
      ...this.#parts.more,
      ...new ListCommands(this.#parts, () => this.#config).handlers(),
      status: () => ({ ...this.#parts.proxy.status(), pid: process.pid, file: this.#parts.file }),
      reload: () => this.reload(),
      'log-reopen': () => this.#parts.log.reopen(),
      trace: (given, stream) => this.#trace(textOf(given, 'source'), stream.line, stream.gone),
    }
  }

  async #trace(network: string, onLine: (line: string) => void, gone: Promise<void>) {
    if (parsePrefix(network, newPrefixCell()) !== '') {
      throw usage(`source ${network}: write a network such as 192.0.2.0/24`)
    }
    const end = this.#parts.log.trace(network, onLine)
    await gone
    end()
  }
}

function faulty(faults: readonly string[]): ReloadAnswer {
  return { ok: false, changes: [], faults, restart: [] }
}
