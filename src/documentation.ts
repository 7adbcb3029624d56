/**
 * docs/configuration.md and the table of docs/log.md, made from the schema and the log's fields:
 * what the program reads and writes is what the pages say. `npm run docs` writes them; a tidy test
 * compares.
 */
import { type NamedSetting, sections } from './config/explain.ts'
import { fieldsOf } from './log/fields.ts'

/** The whole text of docs/configuration.md. */
export function configurationPage(): string {
  const head = [
    '# Configuration',
    '',
    'Made from the schema (`src/config/schema/`) by `npm run docs`; do not edit.',
    '',
    'One file, `activemx.toml` (TOML 1.0). `activemx check-config --config FILE` says what is wrong with it, one',
    'line per fault with key, value and remedy; `activemx show-config --explain NAME` says what is below.',
    '',
    '- Times `500ms 5s 10m 24h 7d`, sizes `64KiB 25MB` or octets, rates `60/min 10/h`; `""` or `0` is no limit, but where a setting says more.',
    '- Relative paths start at the folder of the file.',
    '- An unknown key is a fault that names the nearest one.',
    '- *Reload*: takes effect with `activemx reload` or SIGHUP, without dropping a connection. *Restart*: needs one.',
    '- A setting with a stress value takes the smaller of the two while the service is under stress;',
    '  change it below `[stress]`: `stress.listen.command_wait = "5s"`.',
    '',
  ]
  const body = sections().flatMap(({ title, doc, settings }) => [
    `## ${title === '' ? 'Outside tables' : `\`${title}\``}`,
    '',
    ...(doc === '' ? [] : [doc, '']),
    '| key | type | default | bounds | under stress | takes effect | meaning |',
    '| --- | --- | --- | --- | --- | --- | --- |',
    ...settings.map(settingRow),
    '',
  ])
  return [...head, ...body].join('\n')
}

/** The tables of docs/log.md: the fields of every event. */
export function logFieldTables(): string {
  return Object.entries(fieldsOf)
    .flatMap(([event, fields]) => [
      `### \`${event}\``,
      '',
      '| key | meaning |',
      '| --- | --- |',
      ...fields.map(({ key, doc }) => `| \`${key}\` | ${cell(doc)} |`),
      '',
    ])
    .join('\n')
}

function settingRow({ setting }: NamedSetting): string {
  const { min, max } = setting
  const bounds = [min === undefined ? '' : `≥ ${min}`, max === undefined ? '' : `≤ ${max}`]
  const cells = [
    `\`${setting.name}\``,
    cell(setting.type),
    `\`${JSON.stringify(setting.default).replaceAll(',', ', ')}\``,
    bounds.filter((bound) => bound !== '').join(', '),
    setting.stressDefault === undefined ? '' : `\`${JSON.stringify(setting.stressDefault)}\``,
    setting.affects,
    cell(setting.doc),
  ]
  return `| ${cells.join(' | ')} |`
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}
