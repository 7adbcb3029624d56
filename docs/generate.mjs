// Writes the generated pages: `npm run docs`. test/tidy/generated-docs.test.ts compares them.
import { readFileSync, writeFileSync } from 'node:fs'
import { configurationPage, logFieldTables } from '../dist/src/documentation.js'

const log = new URL('log.md', import.meta.url)
const [head] = readFileSync(log, 'utf8').split('<!-- fields -->')
writeFileSync(new URL('configuration.md', import.meta.url), configurationPage())
writeFileSync(log, `${head}<!-- fields -->\n\n${logFieldTables()}`)
