import { expect, test } from 'vitest'
import { TlsDaemonWatch } from '../../src/edge/tls-daemon-watch.ts'
import { failure, success } from '../../src/tls/api.ts'

const away = failure('daemonGone', '/run/tls.sock: connect ENOENT')
const old = failure('refused', 'frames of version 2; this daemon speaks 1')

function watch() {
  const told: string[] = []
  const watching = new TlsDaemonWatch('/run/tls.sock', (_what, detail) => told.push(detail))
  return { watching, told }
}

test('`lost` counts how often it ceased to serve, not the reasons that it gave meanwhile', () => {
  const { watching, told } = watch()
  watching.take(success)
  expect(watching.state).toMatchObject({ code: 'none', lost: 0 })
  for (const standing of [away, away, old, away, old]) watching.take(standing)
  expect(watching.state).toMatchObject({ code: 'refused', message: old.message, lost: 1 })
  watching.take(success)
  watching.take(success)
  expect(watching.state).toEqual({ socket: '/run/tls.sock', code: 'none', message: '', lost: 1 })
  watching.take(away)
  expect(watching.state).toMatchObject({ lost: 2 })
  expect(told.map((text) => text.includes('does not serve'))).toEqual([
    ...[true, true, true, true, false],
    true,
  ])
})

test('`lost` is 0 for a daemon that has never served, and counts from when it did', () => {
  const { watching, told } = watch()
  watching.take(away)
  expect(watching.state).toMatchObject({ code: 'daemonGone', lost: 0 })
  watching.take(success)
  expect(watching.state).toMatchObject({ code: 'none', lost: 0 })
  watching.take(away)
  expect(watching.state).toMatchObject({ lost: 1 })
  expect(told.length).toBe(3)
})
