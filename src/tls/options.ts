/**
 * NewOptions as another process sends them: judged before they are used.
 *
 * Unknown keys are refused: a client that asks for a check which this version does not know must
 * not believe that it is made.
 */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { messageOf } from '../base/errors.ts'
import { tlsOptionsOctetsMax, tlsSessionsPerNameMax } from '../base/limits.ts'
import type { NewOptions } from './api.ts'

const text = z.string().max(255)
const pem = z.string().max(tlsOptionsOctetsMax)
const port = z.int().min(0).max(65_535)
const milliseconds = z
  .int()
  .min(1)
  .max(24 * 3_600_000)

// A name goes into a line of text that other people read, and EHLO's into a command.
const word = z
  .string()
  .min(1)
  .max(255)
  .regex(/^[\x21-\x7e]+$/)

const schema = z
  .strictObject({
    shared: word.or(z.literal(false)),
    token: z.string().regex(/^[0-9a-f]{48}$/),
    host: text,
    port,
    path: z.string().max(107),
    listen: z.strictObject({ host: text, port }),
    starttls: z.literal('smtp'),
    conversation: z.enum(['none', 'smtp']),
    ehlo: word,
    priority: z.int().min(-100).max(100),
    ca: pem,
    servername: text,
    pin: z.string().max(64),
    insecure: z.boolean(),
    certificate: pem,
    key: pem,
    requestCertificate: z.boolean(),
    connectTimeoutMs: milliseconds,
    idleMs: milliseconds,
    sessions: z.int().min(1).max(tlsSessionsPerNameMax),
    leaseMs: milliseconds,
    stallMs: milliseconds,
    fallback: z.boolean(),
  })
  .partial()
  .required({ shared: true })

/** The options in a body of JSON, or what is wrong with them. */
export function parseNewOptions(body: Uint8Array): NewOptions | { readonly problem: string } {
  if (body.length > tlsOptionsOctetsMax) {
    return { problem: `options of ${body.length} octets, more than ${tlsOptionsOctetsMax}` }
  }
  try {
    const parsed = schema.safeParse(JSON.parse(Buffer.from(body).toString('utf8')))
    if (parsed.success) return parsed.data as NewOptions
    const [issue] = parsed.error.issues
    return { problem: `${issue?.path.join('.')}: ${issue?.message}` }
  } catch (error) {
    return { problem: `options: ${messageOf(error)}` }
  }
}

/** What two applications must agree in to share one session: peer, trust and own identity. */
export function identityOf(options: NewOptions): string {
  const { host, port: peerPort, path, listen, starttls, conversation, ehlo } = options
  const { ca, servername, pin, insecure, certificate, key, requestCertificate } = options
  const reach = [host, peerPort, path, listen, starttls, conversation, ehlo]
  const trust = [ca, servername, pin, insecure, certificate, key, requestCertificate]
  return JSON.stringify([...reach, ...trust])
}

/**
 * A shared name for all who agree in what `identityOf` compares, and for nobody else: instances
 * that differ in a check or in their own name never stand in each other's way, nor does one after a
 * reload.
 * @param purpose what people see the session by.
 */
export function sharedNameOf(purpose: string, options: Omit<NewOptions, 'shared'>): string {
  const identity = identityOf({ shared: false, ...options })
  return `${purpose}-${createHash('sha256').update(identity).digest('hex').slice(0, 16)}`
}

/** The peer, for the cap of connections to one target. */
export function targetOf(options: NewOptions): string {
  if (options.path !== undefined) return options.path
  if (options.listen !== undefined) return `listen ${options.listen.host}:${options.listen.port}`
  return `${options.host ?? 'localhost'}:${options.port ?? 0}`
}
