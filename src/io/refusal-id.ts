/**
 * The id of a connection that the gate refuses: it stands in the reply and in the record.
 *
 * Twelve characters of base 32 (no i, l, o, u: it is read over the telephone): 40 bits of wall
 * clock in milliseconds, 20 bits of a counter. native/gate/refusal_ring.cpp writes the same form.
 */

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'

/** The text of an id given as its upper and lower 30 bits. */
export function refusalIdText(high: number, low: number): string {
  return halfText(high) + halfText(low)
}

/** Makes ids for a gate in TypeScript; no two alike within a millisecond and its million. */
export function newRefusalIds(): (wallMs: number) => string {
  let count = 0
  return (wallMs) => {
    count = (count + 1) % 2 ** 20
    const clock = wallMs % 2 ** 40
    return refusalIdText(Math.floor(clock / 2 ** 10), (clock % 2 ** 10) * 2 ** 20 + count)
  }
}

function halfText(bits: number): string {
  let text = ''
  for (let shift = 25; shift >= 0; shift -= 5) text += alphabet.charAt((bits >>> shift) & 31)
  return text
}
