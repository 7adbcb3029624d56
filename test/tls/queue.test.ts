import fc from 'fast-check'
import { expect, test } from 'vitest'
import { CallQueue, type Discipline } from '../../src/tls/queue.ts'

const fifo: Discipline = { kind: 'fifo' }
const priority: Discipline = { kind: 'priority', ageingMs: 0 }

function drain<Call>(queue: CallQueue<Call>): Call[] {
  const calls: Call[] = []
  for (let call = queue.shift(); call !== undefined; call = queue.shift()) calls.push(call)
  return calls
}

test('A10: first in, first out, whatever the priorities', () => {
  const queue = new CallQueue<string>(fifo, 100)
  for (const [at, name] of ['a', 'b', 'c', 'd'].entries()) queue.push(name, at, at)
  expect(drain(queue)).toEqual(['a', 'b', 'c', 'd'])
})

test('A11: a late high call overtakes the low ones; equals stay in order', () => {
  const queue = new CallQueue<string>(priority, 100)
  queue.push('low 1', 0, 0)
  queue.push('low 2', 0, 1)
  queue.push('high', 5, 1000)
  queue.push('low 3', 0, 1001)
  expect(drain(queue)).toEqual(['high', 'low 1', 'low 2', 'low 3'])
})

test('A11: ageing: a low call that has waited long enough goes before a fresh high one', () => {
  const ageing: Discipline = { kind: 'priority', ageingMs: 100 }
  const queue = new CallQueue<string>(ageing, 100)
  queue.push('low, 600 ms old', 0, 0)
  queue.push('low, 400 ms old', 0, 200)
  queue.push('high, fresh', 5, 600)
  expect(drain(queue)).toEqual(['low, 600 ms old', 'high, fresh', 'low, 400 ms old'])
})

test('a full queue refuses, and takes again when one has gone', () => {
  const queue = new CallQueue<number>(fifo, 2)
  expect([queue.push(1, 0, 0), queue.push(2, 0, 0), queue.push(3, 0, 0)]).toEqual([
    true,
    true,
    false,
  ])
  queue.shift()
  expect(queue.push(4, 0, 0)).toBe(true)
  expect(drain(queue)).toEqual([2, 4])
})

test('two queues know whose next call comes first', () => {
  const one = new CallQueue<string>(priority, 9)
  const other = new CallQueue<string>(priority, 9)
  expect(one.isBefore(other)).toBe(false)
  one.push('a', 0, 0)
  expect([one.isBefore(other), other.isBefore(one)]).toEqual([true, false])
  other.push('b', 0, 0)
  expect([one.isBefore(other), other.isBefore(one)]).toEqual([true, false])
  other.push('c', 1, 0)
  expect([one.isBefore(other), other.isBefore(one)]).toEqual([false, true])
})

const disciplines: readonly Discipline[] = [fifo, priority, { kind: 'priority', ageingMs: 7 }]

for (const discipline of disciplines) {
  test(`any calls under ${JSON.stringify(discipline)} come out as from a sorted list`, () => {
    const operation = fc.oneof(
      fc.record({ kind: fc.constant('push' as const), priority: fc.integer({ min: -9, max: 9 }) }),
      fc.record({ kind: fc.constant('shift' as const) }),
      fc.record({ kind: fc.constant('remove' as const), modulus: fc.integer({ min: 2, max: 5 }) }),
    )
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 80 }), (operations) => {
        const queue = new CallQueue<number>(discipline, 30)
        let model: { id: number; key: number }[] = []
        operations.forEach((step, now) => {
          if (step.kind === 'push') {
            const ageingMs = discipline.kind === 'fifo' ? 0 : discipline.ageingMs
            const age = ageingMs === 0 ? 0 : now / ageingMs
            const key = discipline.kind === 'fifo' ? 0 : step.priority - age
            if (model.length < 30) model.push({ id: now, key })
            queue.push(now, step.priority, now)
          } else if (step.kind === 'shift') {
            model.sort((one, other) => other.key - one.key || one.id - other.id)
            expect(queue.shift()).toBe(model.shift()?.id)
          } else {
            const isUnwanted = (id: number) => id % step.modulus === 0
            const removed = [...queue.remove(isUnwanted)].sort((one, other) => one - other)
            const want = model.filter((call) => isUnwanted(call.id)).map((call) => call.id)
            expect(removed).toEqual(want.sort((one, other) => one - other))
            model = model.filter((call) => !isUnwanted(call.id))
          }
          expect(queue.size).toBe(model.length)
        })
        model.sort((one, other) => other.key - one.key || one.id - other.id)
        expect(drain(queue)).toEqual(model.map((call) => call.id))
      }),
    )
  })
}
