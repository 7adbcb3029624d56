/**
 * An idle thread that notes how late its own timer comes: what the machine's scheduler does to a
 * thread that has nothing to do. What a measured thread shows beyond it is that thread's own.
 */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

const code = `
  const { parentPort } = require('node:worker_threads')
  let last = performance.now()
  let longest = 0
  const timer = setInterval(() => {
    const now = performance.now()
    longest = Math.max(longest, now - last - 1)
    last = now
  }, 1)
  parentPort.once('message', () => {
    clearInterval(timer)
    parentPort.postMessage(longest)
  })
  parentPort.postMessage('ready')`

/** A control thread that runs. */
export interface ControlThread {
  /** Ends it; the longest delay of its timer, milliseconds. */
  stop(): Promise<number>
}

/** Starts one. */
export async function startControlThread(): Promise<ControlThread> {
  const worker = new Worker(code, { eval: true })
  await once(worker, 'message')
  return {
    async stop() {
      worker.postMessage('stop')
      const [longest] = (await once(worker, 'message')) as [number]
      await worker.terminate()
      return longest
    },
  }
}

/** How long this thread stood still. */
export interface StandStill {
  /** The longest delay of a timer of 1 ms, milliseconds. */
  readonly gapMs: number
  /** The longest time between two of its ticks in which the loop was at work and not waiting. */
  readonly turnMs: number
}

/** Watches the loop of the thread that asks until the answer is called. */
export function watchOwnLoop(): () => StandStill {
  let last = performance.now()
  let used = performance.eventLoopUtilization()
  let gapMs = 0
  let turnMs = 0
  const tick = () => {
    const now = performance.now()
    gapMs = Math.max(gapMs, now - last - 1)
    turnMs = Math.max(turnMs, performance.eventLoopUtilization(used).active)
    last = now
    used = performance.eventLoopUtilization()
  }
  const timer = setInterval(tick, 1)
  return () => {
    clearInterval(timer)
    tick()
    return { gapMs, turnMs }
  }
}
