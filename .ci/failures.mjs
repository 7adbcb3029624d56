// Prints each failed test of a vitest JSON report by file and name, with the head of its message.
import { existsSync, readFileSync } from 'node:fs'

const linesMax = 12
const path = process.argv[2]
const files = existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')).testResults : []
const headOf = (text) => text.split('\n').slice(0, linesMax).join('\n')

for (const file of files) {
  if (file.message) console.log(`FAILED ${file.name}\n${headOf(file.message)}`)
  for (const test of file.assertionResults) {
    if (test.status !== 'failed') continue
    console.log(`FAILED ${file.name}: ${test.fullName}\n${headOf(test.failureMessages.join('\n'))}`)
  }
}
