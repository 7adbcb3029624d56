/**
 * Replies as text on the wire. RFC 5321 §4.2, RFC 2034.
 */
import type { Reply } from './reply.ts'

/** One line of reply with CRLF. `text` is ours: it holds no control octet. */
export function replyLine(code: number, enhanced: string, text: string): string {
  return enhanced === '' ? `${code} ${text}\r\n` : `${code} ${enhanced} ${text}\r\n`
}

/** A reply as on the wire, CRLF included. Control octets (never from ReplyReader) become `?`. */
export function replyText(reply: Reply): string {
  const prefix = reply.enhanced === '' ? '' : `${reply.enhanced} `
  const last = reply.lines.length - 1
  if (last <= 0) return `${reply.code} ${prefix}${clean(reply.lines[0] ?? '')}\r\n`
  let text = ''
  for (let i = 0; i <= last; i++) {
    text += `${reply.code}${i < last ? '-' : ' '}${prefix}${clean(reply.lines[i] ?? '')}\r\n`
  }
  return text
}

function clean(line: string): string {
  for (let i = 0; i < line.length; i++) {
    const octet = line.charCodeAt(i)
    if (octet < 0x20 || octet === 0x7f) return line.replace(/[\x00-\x1f\x7f]/g, '?')
  }
  return line
}
