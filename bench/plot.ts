/**
 * A result as an SVG picture: a panel a group, a bar a name, lengths on a logarithmic scale.
 */
import type { Measurement } from './bench.ts'

const panelWidth = 420
const labelWidth = 220
const barHeight = 16
const headHeight = 60

/** What is drawn side by side: one group's measurements in one unit. */
interface Panel {
  readonly title: string
  readonly measurements: readonly Measurement[]
  /** Shortest and longest bar of this unit in the whole picture. */
  readonly least: number
  readonly most: number
}

/** The picture of all measurements above zero. */
export function plotSvg(title: string, measurements: readonly Measurement[]): string {
  const panels = panelsOf(measurements.filter((one) => one.value > 0))
  const columns = Math.max(1, Math.min(3, panels.length))
  const rowsMost = Math.max(0, ...panels.map((panel) => panel.measurements.length))
  const panelHeight = rowsMost * barHeight + 50
  const drawn = panels.map((panel, index) => {
    const x = (index % columns) * (panelWidth + 20) + 10
    const y = Math.floor(index / columns) * panelHeight + headHeight
    return `<g transform="translate(${x} ${y})">${draw(panel)}</g>`
  })
  const width = columns * (panelWidth + 20)
  const height = Math.ceil(panels.length / columns) * panelHeight + headHeight
  const head = `<text x="10" y="26" font-size="16">${escaped(title)}</text><text x="10" y="44">logarithmic, one scale a unit</text>`
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>${head}${drawn.join('')}</svg>\n`
}

function panelsOf(measurements: readonly Measurement[]): readonly Panel[] {
  const units = new Map<string, number[]>()
  const panels = new Map<string, Measurement[]>()
  for (const one of measurements) {
    const title = `${one.group}, ${one.unit}`
    units.set(one.unit, [...(units.get(one.unit) ?? []), one.value])
    panels.set(title, [...(panels.get(title) ?? []), one])
  }
  return [...panels].map(([title, measurements]) => {
    const values = units.get(measurements[0]?.unit ?? '') ?? []
    return { title, measurements, least: Math.min(...values), most: Math.max(...values) }
  })
}

function draw({ title, measurements, least, most }: Panel): string {
  const room = panelWidth - labelWidth - 50
  const decades = 1 + Math.log10(most / least)
  const rows = measurements.map(({ name, value }, index) => {
    const y = index * barHeight + 14
    const length = (((1 + Math.log10(value / least)) / decades) * room).toFixed(1)
    const textY = y + barHeight - 5
    return [
      `<text x="${labelWidth - 4}" y="${textY}" text-anchor="end">${escaped(name)}</text>`,
      `<rect x="${labelWidth}" y="${y}" width="${length}" height="${barHeight - 4}" fill="#3b6ea5"/>`,
      `<text x="${labelWidth + Number(length) + 4}" y="${textY}">${value.toPrecision(3)}</text>`,
    ].join('')
  })
  return `<text y="6" font-weight="bold">${escaped(title)}</text>${rows.join('')}`
}

function escaped(text: string): string {
  return text.replace(/[<>&]/g, (sign) => `&#${sign.charCodeAt(0)};`)
}
