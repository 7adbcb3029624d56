/**
 * B1 under load: a serving thread that dies while it works takes its own connections and no others.
 * Nothing that was acknowledged is lost, its mailhost sessions and descriptors are given back, and
 * another serves in its place.
 */
import { readdirSync } from 'node:fs'
import { expect, test } from 'vitest'
import { describeWith, needsAddon } from '../support/needs.ts'
import { type RecordingMailhost, startRecordingMailhost } from '../support/recording-mailhost.ts'
import { startProxy, type TestProxy } from '../support/running-proxy.ts'
import { SmtpClient } from '../support/smtp-client.ts'

const senders = 12
const deaths = 6
const messagesApart = 150
const sessionsMax = 4

const envelope = ['EHLO c.example', 'MAIL FROM:<a@x.example>', 'RCPT TO:<b@example.test>', 'DATA']

describeWith([needsAddon()], 'threads that die under load', () => {
  test('B1: only its own connections end, nothing acknowledged is lost, no descriptor stays', async () => {
    await underLoad(0)
    const before = openDescriptors()
    await underLoad(deaths)
    await expect.poll(openDescriptors, { timeout: 20_000 }).toBeLessThanOrEqual(before)
  }, 300_000)
})

/** Serves messages while threads die; all is given back when it resolves. */
async function underLoad(deathsWanted: number): Promise<void> {
  const mailhost = await startRecordingMailhost()
  const proxy = await startProxy([mailhost.port], {
    listen: { workers: 2 },
    mailhost: { sessions_max: sessionsMax },
  })
  try {
    const work = new Work(proxy.port)
    const sending = Array.from({ length: senders }, () => work.send())
    await work.reaches(messagesApart)
    for (let death = 0; death < deathsWanted; death++) {
      await endThread(proxy, death % 2, work)
      expect(deathsTold(proxy)).toBe(death + 1)
    }
    work.isOver = true
    await Promise.all(sending)
    expectDelivered(mailhost, work.acknowledged)
    expect(deathsTold(proxy)).toBe(deathsWanted)
  } finally {
    await proxy.end()
    await mailhost.stop()
  }
}

/** Ends a thread amid its work; of clients that hold still on both, its own go and no others. */
async function endThread(proxy: TestProxy, thread: number, work: Work): Promise<void> {
  const idle = await Promise.all(Array.from({ length: 20 }, () => SmtpClient.open(proxy.port)))
  for (const client of idle) expect(await client.says('EHLO idle.example')).toMatch(/^250/)
  const told = deathsTold(proxy)
  await proxy.endThread(thread)
  await expect.poll(() => deathsTold(proxy), { timeout: 20_000 }).toBe(told + 1)
  await expect.poll(() => proxy.status().gate.workers, { timeout: 20_000 }).toBe(2)
  const left = idle.filter((client) => !client.isClosed)
  expect(left.length).toBeGreaterThan(0)
  expect(left.length).toBeLessThan(idle.length)
  for (const client of left) expect(await client.says('NOOP')).toMatch(/^250/)
  for (const client of idle) client.leave()
  await work.reaches(work.acknowledged.size + messagesApart)
}

function deathsTold(proxy: TestProxy): number {
  return proxy.records().filter(({ what }) => what === 'worker').length
}

/** What clients send, each message until it is acknowledged. */
class Work {
  readonly acknowledged = new Set<number>()
  isOver = false
  readonly #port: number
  #next = 0

  constructor(port: number) {
    this.#port = port
  }

  async send(): Promise<void> {
    while (!this.isOver) {
      const number = this.#next++
      while (!(await this.#sendOne(number))) await new Promise(setImmediate)
      this.acknowledged.add(number)
    }
  }

  async reaches(count: number): Promise<void> {
    await expect.poll(() => this.acknowledged.size, { timeout: 60_000 }).toBeGreaterThan(count)
  }

  async #sendOne(number: number): Promise<boolean> {
    const client = await SmtpClient.open(this.#port)
    const said = await client.saysAll(...envelope)
    const isTaken = said.startsWith('354') && (await client.says(textOf(number))).startsWith('250')
    client.leave()
    return isTaken
  }
}

function textOf(number: number): string {
  return `X-Number: ${number}\r\n\r\n${`line of ${number}\r\n`.repeat(number % 50)}.`
}

/** Every acknowledged message is there, and whatever is there is whole. */
function expectDelivered({ messages }: RecordingMailhost, acknowledged: ReadonlySet<number>): void {
  const delivered = new Set<number>()
  for (const { wire } of messages) {
    const text = wire.toString('latin1')
    const number = Number(/^X-Number: (\d+)/m.exec(text)?.[1])
    expect(`${text.slice(text.indexOf('X-Number: '))}.`).toBe(textOf(number))
    delivered.add(number)
  }
  expect([...acknowledged].filter((number) => !delivered.has(number))).toEqual([])
}

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length
}
