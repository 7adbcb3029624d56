/** Stress mode in a serving thread: what its settings come to for those who wait already. */
import { expect, test } from 'vitest'
import { MemoryEdge } from '../support/memory-edge.ts'

const settings = `
  mailhost.sessions_max = 1
  mailhost.wait = "5m"
  stress.mailhost.wait = "100ms"
`
const onlySession = 1

test('stress begins: who waits for a mailhost session waits no longer than stress.mailhost.wait', async () => {
  const scene = new MemoryEdge(settings)
  const { edge, engine } = scene
  scene.open(onlySession)
  scene.comeSender(onlySession)
  const waiting = scene.comeClient()
  engine.take(waiting)
  edge.stress(true)
  await expect.poll(() => engine.take(waiting), { timeout: 20_000 }).toMatch(/^451 4\.3\.2 /)
  await edge.stop()
})
