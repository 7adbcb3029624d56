/**
 * `activemx serve` while it ends: what signals do until its log is written.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { expect, test, vi } from 'vitest'
import { addServe } from '../../src/cli/serve.ts'

const told = vi.hoisted(() => ({
  what: [] as string[],
  closed: (): void => {},
  fault: undefined as Error | undefined,
}))
vi.mock('../../src/log/system-log.ts', () => ({
  openSystemLog: async () => ({
    log: { record: () => {} },
    reopen: () => told.what.push('reopen'),
    close: () => {
      told.what.push('close')
      return new Promise<void>((done) => {
        told.closed = done
      })
    },
  }),
}))
vi.mock('../../src/main.ts', () => ({
  serve: async () => {
    if (told.fault !== undefined) throw told.fault
    return { stop: async () => {} }
  },
}))
vi.mock('../../src/cli/instance-control.ts', () => ({
  openInstanceControl: async () => {
    told.what.push('serving')
    const commands = { reload: async () => void told.what.push('reload') }
    return { server: { close: async () => {} }, commands }
  },
}))

const configuration = `
name = "mx1.example.net"
mailhost.addresses = ["127.0.0.1:1025"]
recipients.domains = ["example.net"]
listen.smtp = ["127.0.0.1:0"]
process.user = ""
`

test.each([
  { label: 'SIGTERM', fault: undefined, before: ['serving', 'reload', 'reopen'] },
  { label: 'a start that fails', fault: new Error('no'), before: [] },
])(
  '$label: while the log is written SIGHUP and SIGUSR1 do nothing, and end nothing',
  async (one) => {
    told.what = []
    told.fault = one.fault
    const folder = mkdtempSync(join(tmpdir(), 'activemx-serve-'))
    const file = join(folder, 'activemx.toml')
    writeFileSync(file, configuration)
    const heard = () => [process.listenerCount('SIGHUP'), process.listenerCount('SIGUSR1')]
    const deaf = heard()
    const program = new Command()
    const terminal = { print: () => {}, warn: (line: string) => void told.what.push(line) }
    addServe(program, { terminal, exit: () => {} } as never)
    const ended = program.parseAsync(['node', 'activemx', 'serve', '--config', file])
    const result = ended.then(
      () => undefined,
      (fault: unknown) => fault,
    )
    if (one.fault === undefined) {
      await vi.waitFor(() => expect(told.what).toEqual(['serving']))
      process.emit('SIGHUP')
      process.emit('SIGUSR1')
      process.emit('SIGTERM')
    }
    await vi.waitFor(() => expect(told.what).toEqual([...one.before, 'close']))
    expect(heard()).toEqual(deaf.map((count) => count + 1))
    process.emit('SIGHUP')
    process.emit('SIGUSR1')
    expect(told.what).toEqual([...one.before, 'close'])
    told.closed()
    expect(await result).toBe(one.fault)
    rmSync(folder, { recursive: true })
  },
)
