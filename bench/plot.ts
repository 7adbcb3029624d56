/**
 * A result as an SVG picture: a panel a group, a bar a name, lengths on a logarithmic scale.
 */
import type { Measurement } from './bench.ts'

const panelWidth = 420
const labelWidth = 220
const barHeight = 16
const headHeight = 60

/** The picture of all measurements in nanoseconds. */
export function plotSvg(title: string, measurements: readonly Measurement[]): string {
  const shown = measurements.filter((one) => one.unit === 'ns' && one.value > 0)
  const groups = [...new Set(shown.map((one) => one.group))]
  const columns = Math.min(3, groups.length)
  const rowsMost = Math.max(...groups.map((group) => inGroup(shown, group).length))
  const panelHeight = rowsMost * barHeight + 50
  const most = Math.max(...shown.map((one) => one.value))
  const panels = groups.map((group, index) => {
    const x = (index % columns) * (panelWidth + 20) + 10
    const y = Math.floor(index / columns) * panelHeight + headHeight
    return `<g transform="translate(${x} ${y})">${panel(group, inGroup(shown, group), most)}</g>`
  })
  const width = columns * (panelWidth + 20)
  const height = Math.ceil(groups.length / columns) * panelHeight + headHeight
  const head = `<text x="10" y="26" font-size="16">${escaped(title)}</text><text x="10" y="44">nanoseconds, logarithmic</text>`
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>${head}${panels.join('')}</svg>\n`
}

function inGroup(measurements: readonly Measurement[], group: string): readonly Measurement[] {
  return measurements.filter((one) => one.group === group)
}

function panel(group: string, measurements: readonly Measurement[], most: number): string {
  const scale = (panelWidth - labelWidth - 50) / Math.log10(most * 10)
  const rows = measurements.map(({ name, value }, index) => {
    const y = index * barHeight + 14
    const length = Math.max(1, Math.log10(Math.max(value, 0.1) * 10) * scale).toFixed(1)
    const textY = y + barHeight - 5
    return [
      `<text x="${labelWidth - 4}" y="${textY}" text-anchor="end">${escaped(name)}</text>`,
      `<rect x="${labelWidth}" y="${y}" width="${length}" height="${barHeight - 4}" fill="#3b6ea5"/>`,
      `<text x="${labelWidth + Number(length) + 4}" y="${textY}">${value.toPrecision(3)}</text>`,
    ].join('')
  })
  return `<text y="6" font-weight="bold">${escaped(group)}</text>${rows.join('')}`
}

function escaped(text: string): string {
  return text.replace(/[<>&]/g, (sign) => `&#${sign.charCodeAt(0)};`)
}
