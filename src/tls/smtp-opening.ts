/**
 * The SMTP client's words around a session: greeting, EHLO, STARTTLS, RSET, QUIT. RFC 5321, RFC
 * 3207.
 *
 * Works on any stream (TCP before TLS, the TLS socket after it) through the bounded ReplyReader.
 * One command, one reply: octets that a peer sends behind the awaited reply are a fault, so nothing
 * said in plain text is ever taken for something said inside TLS (RFC 3207 §4.2), and nothing left
 * over by one tenant reaches the next.
 */
import type { Duplex } from 'node:stream'
import type { Reply } from '../smtp/reply.ts'
import { ReplyReader } from '../smtp/reply-reader.ts'
import { failure, type Outcome, type TlsCode } from './api.ts'
import { faultOf } from './fault.ts'

/** A reply, or why none came. */
export type Asked =
  | { readonly ok: true; readonly reply: Reply }
  | { readonly ok: false; readonly fault: Outcome }

/** What the steps of an opening end in: the EHLO reply as text, or the fault. */
export type Opened =
  | { readonly ok: true; readonly greeting: string }
  | { readonly ok: false; readonly fault: Outcome }

/**
 * Sends a command line ('' for none) and awaits one reply. The caller keeps the deadline.
 * @param code of the fault when the peer says something else than one reply.
 */
export function askReply(
  stream: Duplex,
  command: string,
  code: TlsCode = 'syscall',
): Promise<Asked> {
  return new Promise((resolve) => {
    const reader = new ReplyReader()
    const finish = (asked: Asked): void => {
      stream.pause()
      stream.off('data', onData).off('end', onEnd).off('error', onError).off('close', onEnd)
      resolve(asked)
    }
    const refuse = (fault: Outcome): void => finish({ ok: false, fault })
    const onData = (chunk: Buffer): void => {
      const end = reader.read(chunk, 0, chunk.length)
      if (reader.fault !== undefined) refuse(failure(code, `reply of the peer: ${reader.fault}`))
      else if (reader.reply === undefined) return
      else if (end < chunk.length) refuse(failure(code, 'octets of the peer behind its reply'))
      else finish({ ok: true, reply: reader.reply })
    }
    const onEnd = (): void => refuse(failure('zeroReturn', 'the peer closed before its reply'))
    const onError = (error: Error): void => refuse(faultOf(error))
    stream.on('data', onData).on('end', onEnd).on('error', onError).on('close', onEnd)
    stream.resume()
    if (command !== '') stream.write(`${command}\r\n`, 'latin1')
  })
}

/** Greeting, EHLO, STARTTLS, in plain text; afterwards the stream is ready for a ClientHello. */
export async function openStartTls(stream: Duplex, ehlo: string): Promise<Opened> {
  const hello = await openSmtp(stream, ehlo, true)
  if (!hello.ok) return hello
  if (!/^STARTTLS\r$/im.test(hello.greeting)) {
    return { ok: false, fault: failure('ssl', 'the peer does not offer STARTTLS') }
  }
  return expectReply(await askReply(stream, 'STARTTLS', 'ssl'), 220, 'STARTTLS', 'ssl')
}

/**
 * (Greeting and) EHLO. The greeting text is that of EHLO, CRLF after each line. A peer that will
 * not have us (421, 554) is a `syscall` like one that cannot be reached: it has said nothing about
 * TLS.
 */
export async function openSmtp(stream: Duplex, ehlo: string, isGreeted: boolean): Promise<Opened> {
  if (isGreeted) {
    const greeting = expectReply(await askReply(stream, ''), 220, 'the connection', 'syscall')
    if (!greeting.ok) return greeting
  }
  return expectReply(await askReply(stream, `EHLO ${ehlo}`), 250, 'EHLO', 'syscall')
}

/** A reply with the wanted code, as text; else the fault. */
function expectReply(asked: Asked, wanted: number, command: string, code: TlsCode): Opened {
  if (!asked.ok) return asked
  const { reply } = asked
  if (reply.code === wanted) {
    return { ok: true, greeting: reply.lines.map((line) => `${line}\r\n`).join('') }
  }
  // RFC 5321 §3.8: it closes, whatever it was asked; that says nothing about TLS.
  const meant = reply.code === 421 ? 'syscall' : code
  const text = `the peer answered ${command} with ${reply.code} ${reply.lines[0] ?? ''}`
  return { ok: false, fault: failure(meant, text) }
}
