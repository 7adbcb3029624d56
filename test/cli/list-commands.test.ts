import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { ListCommands } from '../../src/cli/list-commands.ts'
import { openControlServer } from '../../src/control/control-server.ts'
import { DynamicList } from '../../src/store/dynamic-list.ts'
import { openStore } from '../../src/store/open-store.ts'
import { Store } from '../../src/store/store.ts'
import { WhitelistStore } from '../../src/store/whitelist-store.ts'
import { runCommand } from '../support/command-line.ts'

test('a sender whose removal the disk did not take is not said to be removed', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'activemx-lists-'))
  const root = openStore(folder, () => {})
  const store = new Store(root, { sizeMaxOctets: 2 ** 30, report: () => {} })
  const whitelist = new WhitelistStore(store)
  const learnt = { store, whitelist, dynamic: new DynamicList(store) }
  const commands = new ListCommands({ proxy: {} as never, learnt }, () => ({}) as never).handlers()
  const given = { list: 'whitelist', entry: 'bob@a.example' }
  const remove = () => commands['list-remove']?.(given, {} as never)

  expect(whitelist.add('bob@a.example', 'operator', Date.now())).toBe(true)
  const transactionSync = root.transactionSync.bind(root)
  const full = vi.spyOn(root, 'transactionSync').mockImplementation((change) =>
    transactionSync(() => {
      change()
      throw new Error('No space left on device')
    }),
  )
  await expect(remove()).rejects.toMatchObject({
    code: 'STORE_FAULT',
    message: expect.stringMatching(/^entry bob@a\.example: not removed from the store: /),
  })
  expect(whitelist.has('bob@a.example')).toBe(true)
  full.mockRestore()
  expect(await remove()).toEqual({ removed: true })
  expect(await remove()).toEqual({ removed: false })
  await store.close()
  rmSync(folder, { recursive: true })
})

test('an export comes back whole by import, also senders with # in their names', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'activemx-lists-'))
  const store = new Store(
    openStore(folder, () => {}),
    { sizeMaxOctets: 2 ** 30, report: () => {} },
  )
  const whitelist = new WhitelistStore(store)
  const learnt = { store, whitelist, dynamic: new DynamicList(store) }
  const commands = new ListCommands({ proxy: {} as never, learnt }, () => ({}) as never)
  const server = await openControlServer(join(folder, 'a.sock'), commands.handlers())
  const run = (action: string, ...words: readonly string[]) =>
    runCommand('list', 'whitelist', action, ...words, '--socket', server.path)
  const kept = () => [...whitelist.list('', Date.now())].map(({ address }) => address)

  const senders = ['#c@x.example', 'a#b@x.example', 'bob@x.example']
  whitelist.addMany(senders, 'operator', Date.now())
  const { printed } = await run('export')
  for (const sender of senders) await run('remove', sender)
  expect(kept()).toEqual([])
  const source = join(folder, 'senders.txt')
  writeFileSync(source, `# ours\n#none@x.example\n${printed.join(' # friend\n')}\t#\n  # end`)
  const imported = { status: 0, printed: ['3 added, 0 refused'], warned: [] }
  expect(await run('import', source)).toEqual(imported)
  expect(kept()).toEqual(senders)
  await server.close()
  await store.close()
  rmSync(folder, { recursive: true })
})
