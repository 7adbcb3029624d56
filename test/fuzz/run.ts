/**
 * npm run fuzz -- [--seconds N] [--target NAME]…
 *
 * Builds every native/fuzz/NAME_fuzz.cpp with libFuzzer and the address and undefined sanitizers
 * (clang), runs each for N seconds (20), as many at once as there are cores, and prints a line
 * each. Corpora grow in
 * out/fuzz/corpus/NAME and are kept between runs; an input that breaks a claim is kept in
 * out/fuzz/findings/NAME and makes the exit code 1. Exit code 2: misuse, or no clang.
 */
import { execFile, spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const folder = 'out/fuzz'
const compilers = ['clang++-14', 'clang++-16', 'clang++-15', 'clang++']

/** One target's result, read from libFuzzer's last lines. */
interface Outcome {
  readonly target: string
  readonly runs: number
  readonly coverage: number
  readonly hasFinding: boolean
}

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '20' },
    target: { type: 'string', multiple: true },
  },
})
process.exitCode = await main(Number(values.seconds), values.target)

async function main(seconds: number, wanted: readonly string[] | undefined): Promise<number> {
  const all = readdirSync('native/fuzz').flatMap((name) => /^(.*)_fuzz\.cpp$/.exec(name)?.[1] ?? [])
  const targets = wanted ?? all
  const unknown = targets.filter((target) => !all.includes(target))
  if (!(seconds > 0) || unknown.length > 0) {
    return misuse(`fuzz: --seconds above 0, --target one of ${all.join(' ')}`)
  }
  if (!build(targets)) return 2
  const outcomes = await runAll(targets, seconds)
  for (const { target, runs, coverage, hasFinding } of outcomes) {
    const state = hasFinding ? `FINDING, see ${folder}/findings/${target}` : 'clean'
    console.log(`${target.padEnd(20)} ${runs} runs, ${coverage} edges, ${state}`)
  }
  return outcomes.some((outcome) => outcome.hasFinding) ? 1 : 0
}

function misuse(text: string): 2 {
  console.error(text)
  return 2
}

function build(targets: readonly string[]): boolean {
  const compiler = compilers.find((name) => spawnSync(name, ['--version']).status === 0)
  if (compiler === undefined) {
    misuse(`fuzz: none of ${compilers.join(' ')} is installed; Debian: apt-get install clang-14`)
    return false
  }
  const options = [`-DCMAKE_CXX_COMPILER=${compiler}`, '-DACTIVEMX_FUZZ=ON']
  const targetOptions = targets.flatMap((target) => ['--target', `${target}_fuzz`])
  return (
    command('cmake', ['-S', 'native', '-B', `${folder}/build`, ...options]) &&
    command('cmake', ['--build', `${folder}/build`, '-j', '2', ...targetOptions])
  )
}

/** Runs a program; its output is shown only where it fails. */
function command(program: string, options: readonly string[]): boolean {
  const done = spawnSync(program, options, { encoding: 'utf8' })
  if (done.status !== 0) console.error(done.stdout, done.stderr, done.error?.message ?? '')
  return done.status === 0
}

/** The outcomes in the order of the targets. */
async function runAll(targets: readonly string[], seconds: number): Promise<readonly Outcome[]> {
  const outcomes = new Map<string, Outcome>()
  const waiting = [...targets]
  const work = async (): Promise<void> => {
    for (let target = waiting.shift(); target !== undefined; target = waiting.shift()) {
      outcomes.set(target, await run(target, seconds))
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, work))
  return targets.flatMap((target) => outcomes.get(target) ?? [])
}

function run(target: string, seconds: number): Promise<Outcome> {
  const corpus = join(folder, 'corpus', target)
  const findings = join(folder, 'findings', target, '/')
  mkdirSync(corpus, { recursive: true })
  mkdirSync(findings, { recursive: true })
  const options = [corpus, `-max_total_time=${seconds}`, `-artifact_prefix=${findings}`]
  const limits = ['-max_len=4096', '-timeout=20', '-rss_limit_mb=2048', '-print_final_stats=1']
  return new Promise((resolve) => {
    const program = `${folder}/build/${target}_fuzz`
    execFile(program, [...options, ...limits], { maxBuffer: 1 << 28 }, (error, _, stderr) => {
      if (error !== null) console.error(error.message.slice(0, 200), stderr.slice(-8000))
      resolve({
        target,
        runs: Number(/number_of_executed_units: (\d+)/.exec(stderr)?.[1] ?? 0),
        coverage: Number([...stderr.matchAll(/cov: (\d+)/g)].at(-1)?.[1] ?? 0),
        hasFinding: error !== null,
      })
    })
  })
}
