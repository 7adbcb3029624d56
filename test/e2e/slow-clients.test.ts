/**
 * Slow clients hold no place for long: silent ones and those that drip octets of a command line are
 * told 421 4.4.2 when the first command's time is over, and an honest client is served meanwhile.
 * How fast among 10,000 of them: `npm run bench slow`.
 */
import { beforeEach, expect, test } from 'vitest'
import { describeWith, needsAddon } from '../support/needs.ts'
import { proxyScene } from '../support/proxy-scene.ts'
import type { RecordingMailhost } from '../support/recording-mailhost.ts'
import type { Written } from '../support/running-proxy.ts'
import { SmtpClient } from '../support/smtp-client.ts'

const clients = 60

const scene = proxyScene()
let mailhost: RecordingMailhost

beforeEach(async () => {
  mailhost = await scene.mailhost()
})

const settings: Readonly<Record<string, Written>> = {
  'as usual': { listen: { first_command_wait: '3s', line_wait: '1h' } },
  'under stress': {
    listen: { first_command_wait: '1h', line_wait: '1h', connections_max: 2 * clients },
    stress: { at: 0.5, until: 0.001, listen: { first_command_wait: '3s', line_wait: '1h' } },
  },
  'under stress, where the workers are full before': {
    listen: { first_command_wait: '1h', line_wait: '1h', sessions_per_worker_max: 2 * clients },
    stress: { at: 0.5, until: 0.001, listen: { first_command_wait: '3s', line_wait: '1h' } },
  },
}

for (const isNative of [true, false]) {
  describeWith([isNative ? needsAddon() : undefined], `slow clients, native: ${isNative}`, () => {
    test.each(Object.entries(settings))(
      '%s',
      async (_, changes) => {
        const running = await scene.proxyBefore([mailhost.port], changes, { isNative })
        const slow = await Promise.all(
          Array.from({ length: clients }, () => SmtpClient.open(running.port)),
        )
        const dripping = setInterval(() => {
          for (const client of slow.slice(0, clients / 2)) if (!client.isClosed) client.send('x')
        }, 100)
        const honest = await SmtpClient.open(running.port)
        const words = [
          'EHLO c.example',
          'MAIL FROM:<a@x.example>',
          'RCPT TO:<b@example.test>',
          'DATA',
        ]
        expect(await honest.saysAll(...words)).toMatch(/^354/)
        expect(await honest.says('Subject: x\r\n\r\nbody\r\n.')).toMatch(/^250/)
        honest.leave()
        for (const client of slow) await client.closed()
        clearInterval(dripping)
        for (const { heard } of slow)
          expect(heard).toMatch(/^220 .*\r\n421 4\.4\.2 protocol: timeout, closing, id=[\w-]+\r\n$/)
        await expect.poll(() => running.status().gate.connections).toBe(0)
      },
      60_000,
    )
  })
}
