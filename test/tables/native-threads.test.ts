/**
 * One native table in several threads, and what belongs to the native form alone.
 */
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { OperatingError } from '../../src/base/errors.ts'
import { attachNativeTable, nativeTable } from '../../src/tables/native-table.ts'
import { saveTable } from '../../src/tables/save-table.ts'
import { projectRoot } from '../support/needs.ts'

/** A worker that attaches and answers messages `[verb, text]`. */
const workerCode = `
  const { parentPort, workerData } = require('node:worker_threads')
  import('${projectRoot}/dist/src/tables/native-table.js').then(({ attachNativeTable }) => {
    const table = attachNativeTable(workerData)
    parentPort.on('message', ([verb, text]) => {
      if (verb === 'end') return parentPort.close()
      if (verb === 'add') table.add(text, { list: 'worker' })
      if (verb === 'remove') table.remove(text)
      parentPort.postMessage(verb === 'ask' ? table.lookup(text)?.lists ?? [] : 'done')
    })
    parentPort.postMessage('ready')
  })`

test('a worker that attaches by handle sees what others enter, and they what it enters', async () => {
  const table = nativeTable.fromPrefixes([{ prefix: '192.0.2.0/24', list: 'a' }])
  const worker = new Worker(workerCode, { eval: true, workerData: table.handle })
  const ended = once(worker, 'exit')
  await once(worker, 'message')
  const tell = async (verb: string, text: string): Promise<unknown> => {
    worker.postMessage([verb, text])
    const [answer] = await once(worker, 'message')
    return answer
  }
  expect(await tell('ask', '192.0.2.9')).toEqual(['a'])
  table.add('198.51.100.0/24', { list: 'main' })
  expect(await tell('ask', '198.51.100.200')).toEqual(['main'])
  await tell('add', '203.0.113.9')
  expect(table.lookup('203.0.113.9')?.lists).toEqual(['worker'])
  await tell('remove', '192.0.2.9')
  expect(table.lookup('192.0.2.9')).toBeUndefined()
  table.close()
  expect(await tell('ask', '192.0.2.8')).toEqual(['a'])
  worker.postMessage(['end', ''])
  await ended
})

test('a closed table cannot be attached to; who is attached goes on', () => {
  const table = nativeTable.fromPrefixes([{ prefix: '192.0.2.0/24', list: 'a' }])
  const other = attachNativeTable(table.handle)
  table.close()
  expect(other.lookup('192.0.2.1')?.lists).toEqual(['a'])
  expect(() => attachNativeTable(table.handle)).toThrow(OperatingError)
})

test('a batch of prepared buffers answers like single lookups', () => {
  const table = nativeTable.fromPrefixes([
    { prefix: '10.0.0.0/9', list: 'a' },
    { prefix: '10.1.2.3', list: 'b' },
  ])
  const batch = table.newBatch(64)
  for (let i = 0; i < 64; i++) batch.addresses[i] = (0x0a01_0200 + i * 0x3_0001) >>> 0
  batch.run(0, 10)
  batch.run(10, 54)
  const single = Array.from(batch.addresses, (address) => table.lookupClass4(address))
  expect([...batch.classes]).toEqual(single)
  expect(new Set(single).size).toBeGreaterThan(1)
  table.close()
})

test('files and lines are read from the snapshot: changed, it costs explain and nothing else', () => {
  const folder = mkdtempSync(join(tmpdir(), 'activemx-provenance-'))
  const path = join(folder, 'table.snapshot')
  const origin = { list: 'a', prefix: '192.0.2.0/24', file: 'a.netset', line: 7 }
  const table = nativeTable.fromPrefixes([origin])
  try {
    saveTable({ handle: table.handle, path })
    expect(table.explain('192.0.2.9')).toEqual([origin])
    const octets = readFileSync(path)
    writeFileSync(path, Buffer.alloc(octets.length))
    expect(() => table.explain('192.0.2.9')).toThrow(
      expect.objectContaining({ code: 'SNAPSHOT_DAMAGED' }),
    )
    expect(table.lookup('192.0.2.9')).toEqual({ lists: ['a'], prefix: '192.0.2.0/24' })
    expect(table.explain('198.51.100.1')).toEqual([])
    writeFileSync(path, octets)
    rmSync(path)
    expect(table.explain('192.0.2.9')).toEqual([origin])
  } finally {
    table.close()
    rmSync(folder, { recursive: true, force: true })
  }
})

test('columns of another shape are refused, not read', () => {
  const wrong = { lists: ['a'], files: [''], v4: { count: 1 }, v6: { count: 0 } }
  expect(() => nativeTable.compile(wrong as never)).toThrow('columns of another shape')
})
