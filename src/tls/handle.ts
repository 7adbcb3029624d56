/**
 * A session's handle on the wire and as text. Pure.
 *
 * 25 octets: route, daemon id (8), random (16). The token of a SessionHandle is the last 24 as
 * hexadecimal digits: whoever has it and is the same user may use the session.
 */
import type { Route, SessionHandle } from './api.ts'
import { type Frame, handleOctets } from './wire.ts'

const digits = '0123456789abcdef'
const hexOf = Array.from({ length: 256 }, (_, octet) => {
  return digits.charAt(octet >> 4) + digits.charAt(octet & 15)
})

/** The 25 octets of a handle; undefined for a token that is none. */
export function encodeHandle(handle: SessionHandle): Uint8Array | undefined {
  if (!/^[0-9a-f]{48}$/.test(handle.token)) return undefined
  const octets = new Uint8Array(handleOctets)
  octets[0] = handle.route === 'shared' ? 1 : 0
  for (let at = 1; at < handleOctets; at++) {
    octets[at] = Number.parseInt(handle.token.slice(2 * at - 2, 2 * at), 16)
  }
  return octets
}

/** The route that a frame's handle names; undefined where the body holds no handle. */
export function routeOf(frame: Frame): Route | undefined {
  if (frame.bodyOctets < handleOctets) return undefined
  const route = frame.octets[frame.start]
  return route === 1 ? 'shared' : route === 0 ? 'unshared' : undefined
}

/** The token that a frame's handle holds. The body holds one: see `routeOf`. */
export function tokenOf(frame: Frame): string {
  return hexText(frame.octets, frame.start + 1, frame.start + handleOctets)
}

/** Octets [start, end) as hexadecimal digits. */
export function hexText(octets: Uint8Array, start: number, end: number): string {
  // Node's own is five times faster where the octets are a Buffer, as those of a socket are.
  if ('hexSlice' in octets && typeof octets.hexSlice === 'function') {
    return octets.hexSlice(start, end)
  }
  let text = ''
  for (let at = start; at < end; at++) text += hexOf[octets[at] ?? 0]
  return text
}
