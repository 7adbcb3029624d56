/**
 * Debian's programs as clients: run to the end, with what they said.
 */
import { spawn } from 'node:child_process'
import { findProgram } from './needs.ts'

/** How a program ended and what it wrote. */
export interface ProgramEnd {
  readonly status: number
  readonly output: string
}

/** Runs a program; `input` goes to its standard input. */
export function runProgram(
  name: string,
  words: readonly string[],
  input = '',
): Promise<ProgramEnd> {
  return new Promise((resolve, reject) => {
    const child = spawn(findProgram(name) ?? name, [...words])
    let output = ''
    const take = (text: unknown) => {
      output += String(text)
    }
    child.stdout.on('data', take)
    child.stderr.on('data', take)
    child.on('error', reject)
    child.on('close', (status) => resolve({ status: status ?? -1, output }))
    // A program that is turned away may end before it reads its input: its status tells, not the
    // pipe.
    child.stdin.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') reject(error)
    })
    child.stdin.end(input)
  })
}

/** swaks against a port of this machine. */
export function swaks(port: number, ...words: readonly string[]): Promise<ProgramEnd> {
  return runProgram('swaks', ['--server', `127.0.0.1:${port}`, '--from', 'a@x.example', ...words])
}
