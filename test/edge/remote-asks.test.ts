/**
 * What a serving thread reports to the main thread, where a bug of ours meets it.
 */
import { expect, test } from 'vitest'
import { AskServer } from '../../src/edge/remote-asks.ts'
import type { ThreadOrder, ThreadReport } from '../../src/edge/thread-messages.ts'

const fail = (): never => {
  throw new Error('broken')
}

test('each report that breaks is told; who asked hears that nothing was found', () => {
  const orders: ThreadOrder[] = []
  const faults: unknown[] = []
  const desk = { trustedName: fail, examine: fail, forget: fail }
  const asks = { desk, onFinding: fail, onDelivered: fail, onWritten: fail }
  const server = new AskServer(
    asks,
    (order) => orders.push(order),
    (error) => faults.push(error),
  )
  const address = '192.0.2.7'
  const question = { address, helo: 'a', sender: 'a@x.example', recipient: 'b@y.example' }
  const finding = { layer: 'relay', outcome: 'positive', name: 'open-relay', evidence: [] } as const
  const reports: readonly ThreadReport[] = [
    { kind: 'trusted-name', number: 1, address },
    { kind: 'examine', number: 2, question },
    { kind: 'finding', address, finding },
    { kind: 'delivered', addresses: [address] },
    { kind: 'written', addresses: ['b@y.example'] },
  ]
  for (const report of reports) server.onReport(report)
  expect(faults).toEqual(reports.map(() => new Error('broken')))
  expect(orders).toEqual([
    { kind: 'answer', number: 1, answer: { question: 'trusted-name', findings: [] } },
    { kind: 'answer', number: 2, answer: { question: 'examine', findings: [] } },
  ])
})
