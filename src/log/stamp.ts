/**
 * Time stamps of log lines; the part that is the same for a whole second is made once.
 */

let isoSecond = -1
let isoText = ''
let syslogSecond = -1
let syslogText = ''

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** `2026-11-21T23:00:10.042Z`. RFC 3339. */
export function isoStamp(timeMs: number): string {
  const second = Math.floor(timeMs / 1000)
  if (second !== isoSecond) {
    isoSecond = second
    isoText = new Date(second * 1000).toISOString().slice(0, 19)
  }
  const ms = Math.floor(timeMs) - second * 1000
  return `${isoText}.${ms < 10 ? '00' : ms < 100 ? '0' : ''}${ms}Z`
}

/** `Nov 21 23:00:10` in local time, as syslog has it. RFC 3164 §4.1.2. */
export function syslogStamp(timeMs: number): string {
  const second = Math.floor(timeMs / 1000)
  if (second !== syslogSecond) {
    syslogSecond = second
    const date = new Date(second * 1000)
    const day = String(date.getDate()).padStart(2, ' ')
    const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) =>
      String(part).padStart(2, '0'),
    )
    syslogText = `${months[date.getMonth()]} ${day} ${clock.join(':')}`
  }
  return syslogText
}
