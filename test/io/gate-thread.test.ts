/**
 * What only the native gate can do: it goes on while JavaScript is blocked.
 */
import { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { newNativeGate } from '../../src/io/native-gate.ts'
import { nativeTable } from '../../src/tables/native-table.ts'
import { openPolicy } from '../contract/policy.ts'
import { present } from '../contract/present.ts'

/** Connects ten times from a listed address on a thread of its own, then wakes who waits. */
const clientThread = `
  const { connect } = require('node:net')
  const { workerData } = require('node:worker_threads')
  let refused = 0
  const next = () => {
    const socket = connect({ port: workerData.port, localAddress: '127.0.1.7' })
    let text = ''
    socket.on('data', (chunk) => { text += chunk })
    socket.on('end', () => {
      if (!text.startsWith('554 ')) return
      refused += 1
      Atomics.store(workerData.flag, 0, refused)
      if (refused < 10) next()
      else Atomics.notify(workerData.flag, 0)
    })
  }
  next()
`

test('B3: listed hosts are refused while the main thread is blocked', async () => {
  const gate = present(newNativeGate())
  const table = nativeTable.fromPrefixes([{ prefix: '127.0.1.0/24', list: 'listed' }])
  gate.configure(openPolicy({ blacklist: table.handle }))
  const [address = ''] = await gate.listen(['127.0.0.1:0'])
  const flag = new Int32Array(new SharedArrayBuffer(4))
  const port = Number(address.split(':')[1])
  const worker = new Worker(clientThread, { eval: true, workerData: { port, flag } })
  await new Promise((resolve) => worker.once('online', resolve))
  // No timer, no event and no promise of this thread runs until all ten have been refused.
  while (Atomics.load(flag, 0) < 10) {
    if (Atomics.wait(flag, 0, Atomics.load(flag, 0), 30_000) === 'timed-out') break
  }
  expect(Atomics.load(flag, 0)).toBe(10)
  expect(gate.refusals()).toHaveLength(10)
  await worker.terminate()
  await gate.close()
  table.close()
})
