/**
 * Probe switch: is probing on? One word of memory that the threads of an instance share, so that
 * `activemx probes off` holds in all of them with the next question.
 */

/** The switch. Any thread reads it; the main thread turns it. */
export class ProbeSwitch {
  readonly #off: Int32Array

  /** Memory for one switch, which is on. */
  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)
  }

  /** @param memory of `allocate`; absent: a switch of one thread alone. */
  constructor(memory = ProbeSwitch.allocate()) {
    this.#off = new Int32Array(memory)
  }

  get isOn(): boolean {
    return Atomics.load(this.#off, 0) === 0
  }

  turn(isOn: boolean): void {
    Atomics.store(this.#off, 0, isOn ? 0 : 1)
  }
}
