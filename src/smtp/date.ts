/**
 * Date and time of a header field. RFC 5322 §3.3, always in UTC.
 */

const days = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'] as const
const months = [
  ...(['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun'] as const),
  ...(['Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'] as const),
]

let lastSecond = Number.NaN
let lastText = ''

/**
 * `Sat, 21 Nov 2026 23:00:00 +0000`. The text of the last second is kept: it is asked for again.
 */
export function dateTime(wallClockMs: number): string {
  const second = Math.floor(wallClockMs / 1000)
  if (second === lastSecond) return lastText
  const date = new Date(second * 1000)
  const day = `${days[date.getUTCDay()]}, ${date.getUTCDate()} ${months[date.getUTCMonth()]}`
  const time = [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()]
  const clock = time.map((part) => String(part).padStart(2, '0')).join(':')
  lastSecond = second
  lastText = `${day} ${date.getUTCFullYear()} ${clock} +0000`
  return lastText
}
