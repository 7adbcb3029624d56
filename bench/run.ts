/**
 * npm run bench [question…] [-- --quick | --full]
 *
 * Answers each question (all without a name), prints a table and writes JSON and an SVG plot with
 * machine, commit and versions into bench/results/. `--quick` takes less than a minute a question
 * and keeps nothing; `--full` has more rounds and builds what takes minutes (10 M verdicts). Exit
 * code 1 if a bar is missed, 2 on misuse.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { BenchQuestion, BenchResult } from './bench.ts'
import { gate } from './gate.ts'
import { latency } from './latency.ts'
import { load } from './load.ts'
import { lookup } from './lookup.ts'
import { describeMachine } from './machine.ts'
import { plotSvg } from './plot.ts'
import { probes } from './probes.ts'
import { proxy } from './proxy.ts'
import { scale } from './scale.ts'
import { slow } from './slow.ts'
import { printResult } from './table.ts'
import { tls } from './tls.ts'

const questions: readonly BenchQuestion[] = [
  lookup,
  gate,
  load,
  probes,
  tls,
  proxy,
  latency,
  scale,
  slow,
]

const { values, positionals } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    full: { type: 'boolean', default: false },
  },
  allowPositionals: true,
})
// Before the first question: the load is that of others.
const machine = describeMachine()
const wanted = positionals.length === 0 ? questions.map(({ name }) => name) : positionals
const unknown = wanted.filter((name) => !questions.some((question) => question.name === name))
if (unknown.length > 0) {
  const known = questions.map(({ name }) => name).join(', ')
  console.error(`bench: no question ${unknown.join(', ')}; there are: ${known}`)
  process.exitCode = 2
} else {
  for (const question of questions) if (wanted.includes(question.name)) await answer(question)
}

async function answer(question: BenchQuestion): Promise<void> {
  console.log(`${question.name}: ${question.title}`)
  const result = await question.run({ isQuick: values.quick, isFull: values.full })
  printResult(result)
  if (result.bars.some((bar) => !bar.holds)) process.exitCode = 1
  if (values.quick) return
  const { loadBefore, cores } = machine
  if (loadBefore <= cores) keep(question, result)
  else
    console.log(`not kept: the load was ${loadBefore} on ${cores} cores; run it on an idle machine`)
}

function keep(question: BenchQuestion, result: BenchResult): void {
  const { name, title } = question
  const path = `bench/results/${name}`
  mkdirSync('bench/results', { recursive: true })
  const command = `npm run bench ${name}${values.full ? ' -- --full' : ''}`
  const content = { question: name, title, command, machine, ...result }
  writeFileSync(`${path}.json`, `${JSON.stringify(content, undefined, 2)}\n`)
  writeFileSync(`${path}.svg`, plotSvg(title, result.measurements))
  console.log(`written: ${path}.json ${path}.svg`)
}
