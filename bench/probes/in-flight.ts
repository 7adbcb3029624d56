/**
 * How much this process grows with so many probes in flight, each waiting for a word of its server.
 */
import { fork } from 'node:child_process'
import { converse } from '../../src/probes/converse.ts'

/** @returns megabytes. The servers listen on 127.0.9.0/24 in a process of their own. */
export async function growthInFlight(flights: number): Promise<number> {
  const server = fork(new URL('./silent-server.js', import.meta.url).pathname)
  const port = await new Promise<number>((resolve) =>
    server.once('message', (text) => resolve(Number(text))),
  )
  const before = process.memoryUsage.rss()
  const running: Promise<unknown>[] = []
  for (let index = 0; index < flights; index++) {
    const target = {
      address: `127.0.9.${(index % 250) + 1}`,
      port,
      serverName: '',
      source: '',
      connectWaitMs: 60_000,
      replyWaitMs: 60_000,
      totalWaitMs: 60_000,
    }
    const question = { name: 'sender', sender: '', recipient: `user${index}@a.example` }
    const plan = {
      helo: 'probe.example',
      questions: [question],
      depth: 'rcpt',
      isTlsTried: true,
      goesOn: () => false,
    } as const
    running.push(converse(target, plan))
    if (index % 200 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  server.send('count')
  const open = await new Promise<number>((resolve) =>
    server.once('message', (text) => resolve(Number(text))),
  )
  if (open < flights) throw new Error(`${open} of ${flights} connections came`)
  const megabytes = (process.memoryUsage.rss() - before) / 1e6
  server.kill()
  await Promise.all(running)
  return megabytes
}
