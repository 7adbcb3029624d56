/**
 * The kinds of value a setting may have, each with the reader that turns what is written into what
 * the program gets and whose message, when it refuses, is the remedy.
 *
 * No limit is written "" or 0 and is 0 in the program, for times, sizes, rates and counts alike.
 * Relative paths are made absolute later (load.ts): a kind does not know where the file stands.
 */
import { isIP } from 'node:net'
import { z } from 'zod'
import { newPrefixCell, parsePrefix } from '../base/ip-address.ts'
import { parseDurationMs, parseOctets, parseRate, type Rate } from '../base/units.ts'
import type { Affects, Setting, Written } from './setting.ts'

/** What a row states beside name, default and documentation. */
export interface Options {
  readonly stress?: Written
  readonly min?: Written
  readonly max?: Written
  readonly affects?: Affects
  readonly since?: string
}

/** An address and port; an IPv6 address stands without brackets here. */
export interface Endpoint {
  readonly address: string
  readonly port: number
}

/** A time, in milliseconds for the program. */
export function time(name: string, initial: string, doc: string, options: Options = {}) {
  const read = quantity(parseDurationMs, options, 'write a time such as "5s", "10m" or "24h"')
  return row<number>({ name, type: 'time', unit: 'ms', initial, doc, options, read })
}

/** A size, in octets for the program; a bare whole number is octets. */
export function size(name: string, initial: string, doc: string, options: Options = {}) {
  const parse = (text: string): number | undefined =>
    /^\d{1,15}$/.test(text) ? Number(text) : parseOctets(text)
  const read = quantity(parse, options, 'write a size such as "64KiB" or "25MB"')
  return row<number>({ name, type: 'size', unit: 'octets', initial, doc, options, read })
}

/** So many in so long: `60/min`. */
export function rate(name: string, initial: string, doc: string, options: Options = {}) {
  const read = parsed(
    (written): Rate | undefined => parseRate(textOf(written)),
    'write a rate such as "60/min", or "" for no limit',
  )
  return row<Rate>({ name, type: 'rate', unit: '', initial, doc, options, read })
}

/** A whole number. */
export function count(name: string, initial: number, doc: string, options: Options = {}) {
  const min = typeof options.min === 'number' ? options.min : 0
  const max = typeof options.max === 'number' ? options.max : 1_000_000_000
  const remedy = `write a whole number from ${min} to ${max}`
  const read = z
    .preprocess((written) => (written === '' ? 0 : written), z.int({ error: remedy }))
    .refine((value) => value >= min && value <= max, { error: remedy })
  return row<number>({ name, type: 'number', unit: '', initial, doc, options, read })
}

/** A share from 0 to 1. */
export function share(name: string, initial: number, doc: string, options: Options = {}) {
  const remedy = 'write a share from 0 to 1, such as 0.05'
  const read = z.number({ error: remedy }).min(0, { error: remedy }).max(1, { error: remedy })
  return row<number>({ name, type: 'share', unit: '', initial, doc, options, read })
}

/** true or false. */
export function flag(name: string, initial: boolean, doc: string, options: Options = {}) {
  const read = z.boolean({ error: 'write true or false, without quotes' })
  return row<boolean>({ name, type: 'true | false', unit: '', initial, doc, options, read })
}

/** One of a few words. */
export function choice<const W extends readonly string[]>(
  name: string,
  words: W,
  initial: W[number],
  doc: string,
  options: Options = {},
) {
  const read = z.enum(words as unknown as readonly [string], {
    error: `write one of ${words.map((word) => `"${word}"`).join(', ')}`,
  }) as unknown as z.ZodType<W[number]>
  return row<W[number]>({ name, type: words.join(' | '), unit: '', initial, doc, options, read })
}

/** Any number of words out of a few. */
export function choices<const W extends readonly string[]>(
  name: string,
  words: W,
  initial: readonly W[number][],
  doc: string,
  options: Options = {},
) {
  const remedy = `write a list of ${words.map((word) => `"${word}"`).join(', ')}`
  const word = z.enum(words as unknown as readonly [string], { error: remedy })
  const read = z.array(word, { error: remedy }) as unknown as z.ZodType<readonly W[number][]>
  const type = `list of ${words.join(' | ')}`
  return row<readonly W[number][]>({ name, type, unit: '', initial, doc, options, read })
}

/** A line of text: printable, no control characters, since replies and headers are made of it. */
export function text(name: string, initial: string, doc: string, options: Options = {}) {
  return row<string>({ name, type: 'text', unit: '', initial, doc, options, read: line('text') })
}

/** Lines of text. */
export function texts(
  name: string,
  initial: readonly string[],
  doc: string,
  options: Options = {},
) {
  const read = z.array(line('text'), { error: 'write a list of texts, such as ["a", "b"]' })
  return row<readonly string[]>({
    name,
    type: 'list of texts',
    unit: '',
    initial,
    doc,
    options,
    read,
  })
}

/** A file or folder; "" = none. Absolute once loaded. */
export function path(name: string, initial: string, doc: string, options: Options = {}) {
  return row<string>({ name, type: 'path', unit: '', initial, doc, options, read: line('path') })
}

/** The type of a destination, as the documentation shows it. */
export const destinationType =
  'stderr | syslog | syslog://address:port | syslog+tls://address:port | path'

/** Where the log goes. */
export function destination(name: string, initial: string, doc: string, options: Options = {}) {
  const remedy =
    'write "stderr", "syslog", "syslog://192.0.2.1:514", "syslog+tls://192.0.2.1:6514" or the path of a file'
  const read = line('path').refine(
    (written) =>
      written !== '' &&
      (!written.includes('://') ||
        parseEndpoint(/^syslog(?:\+tls)?:\/\/(.*)$/.exec(written)?.[1] ?? '') !== undefined),
    { error: remedy },
  )
  return row<string>({ name, type: destinationType, unit: '', initial, doc, options, read })
}

/** Listening addresses or servers as `address:port`; kept as text. */
export function sockets(
  name: string,
  initial: readonly string[],
  doc: string,
  options: Options = {},
) {
  const remedy = 'write a list such as ["192.0.2.1:25", "[2001:db8::1]:25"]'
  const one = z
    .string({ error: remedy })
    .refine((written) => parseEndpoint(written) !== undefined, { error: remedy })
  const read = z.array(one, { error: remedy })
  const type = 'list of address:port'
  return row<readonly string[]>({ name, type, unit: '', initial, doc, options, read })
}

/** Servers to connect to. */
export function endpoints(
  name: string,
  initial: readonly string[],
  doc: string,
  options: Options = {},
) {
  const remedy = 'write a list of addresses such as ["192.0.2.1:25", "[2001:db8::1]:25"], no names'
  const one = parsed((written) => parseEndpoint(textOf(written)), remedy)
  const read = z.array(one, { error: remedy })
  const type = 'list of address:port'
  return row<readonly Endpoint[]>({ name, type, unit: '', initial, doc, options, read })
}

/** Networks as `address/bits`; kept as text. */
export function networks(
  name: string,
  initial: readonly string[],
  doc: string,
  options: Options = {},
) {
  const remedy = 'write a list of networks such as ["192.0.2.0/24", "2001:db8::/32"]'
  const one = z.string({ error: remedy }).refine(isNetwork, { error: remedy })
  const read = z.array(one, { error: remedy })
  const type = 'list of networks'
  return row<readonly string[]>({ name, type, unit: '', initial, doc, options, read })
}

/** `192.0.2.1:25`, `[2001:db8::1]:25` → an endpoint, else undefined. */
export function parseEndpoint(written: string): Endpoint | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):(\d{1,5})$/.exec(written)
  if (match === null) return undefined
  const [, six, four, digits] = match
  const port = Number(digits)
  if (port > 65_535) return undefined
  if (six !== undefined) return isIP(six) === 6 ? { address: six, port } : undefined
  return four !== undefined && isIP(four) === 4 ? { address: four, port } : undefined
}

/** Whether the text is an address or `address/bits`. */
function isNetwork(written: string): boolean {
  return parsePrefix(written, newPrefixCell()) === ''
}

interface Row<T> {
  readonly name: string
  readonly type: string
  readonly unit: string
  readonly initial: Written
  readonly doc: string
  readonly options: Options
  readonly read: z.ZodType<T>
}

function row<T>(given: Row<T>): Setting<T> {
  const { name, type, unit, initial, doc, options, read } = given
  return {
    kind: 'setting',
    name,
    type,
    unit,
    default: initial,
    ...(options.stress === undefined ? {} : { stressDefault: options.stress }),
    ...(options.min === undefined ? {} : { min: options.min }),
    ...(options.max === undefined ? {} : { max: options.max }),
    since: options.since ?? '0.1.0',
    affects: options.affects ?? 'reload',
    doc,
    read,
  }
}

function quantity(
  parse: (text: string) => number | undefined,
  options: Options,
  remedy: string,
): z.ZodType<number> {
  const min = parse(String(options.min ?? '0')) ?? 0
  const max = parse(String(options.max ?? '')) ?? Number.MAX_SAFE_INTEGER
  const bounds = [
    options.min === undefined ? '' : `, at least ${options.min}`,
    options.max === undefined ? '' : `, at most ${options.max}`,
  ]
  return parsed((written) => {
    const value = written === '' ? 0 : parse(textOf(written))
    return value !== undefined && value >= min && value <= max ? value : undefined
  }, remedy + bounds.join(''))
}

function parsed<T>(parse: (written: unknown) => T | undefined, remedy: string): z.ZodType<T> {
  return z.unknown().transform((written, context): T => {
    const value = parse(written)
    if (value !== undefined) return value
    context.addIssue({ code: 'custom', message: remedy })
    return z.NEVER
  })
}

function line(what: string): z.ZodType<string> {
  return z
    .string({ error: `write a ${what} in quotes` })
    .max(1000, { error: `write a ${what} of at most 1000 characters` })
    .refine((value) => !/[\x00-\x1f\x7f]/.test(value), {
      error: `write a ${what} without control characters`,
    })
}

function textOf(written: unknown): string {
  if (typeof written === 'string') return written
  return typeof written === 'number' ? String(written) : '?'
}
