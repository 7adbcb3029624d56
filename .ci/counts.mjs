// Prints `passed failed skipped` of a vitest JSON report; fails where there is none.
import { readFileSync } from 'node:fs'

const report = JSON.parse(readFileSync(process.argv[2], 'utf8'))
if (report.numTotalTests === 0) throw new Error('no test ran')
const skipped = report.numPendingTests + report.numTodoTests
console.log(`${report.numPassedTests} ${report.numFailedTests} ${skipped}`)
