/**
 * Dialogue: what a traced client and its mailhost say to each other, line by line, for `trace`.
 *
 * Made only of clients that somebody watches. Of a message there is only how much came: what it
 * says is nobody's business here. A line that a read has cut is told in its pieces.
 */
import { dialogueLinesMax } from '../base/limits.ts'
import type { Stage } from '../journey/journey.ts'
import type { DialogueLogRecord, Log } from '../log/records.ts'

/** Who speaks. */
export type Speaker = DialogueLogRecord['from']

/** Whose dialogue it is. */
export interface Watched {
  readonly address: string
  readonly port: number
}

/** Tells octets [start, end) of the client. */
export function tellInput(
  log: Log,
  watched: Watched,
  stage: Stage,
  chunk: Uint8Array,
  start: number,
  end: number,
): void {
  const text = Buffer.from(chunk.buffer, chunk.byteOffset + start, end - start).toString('latin1')
  const [commands, octets] = stage === 'message' ? ['', text.length] : splitAtData(text)
  tellLines(log, watched, stage, 'client', 'proxy', commands)
  if (octets > 0) {
    tellLines(log, watched, 'message', 'client', 'proxy', `(${octets} octets of the message)`)
  }
}

/** Tells lines, with or without their ends; of very many the first. */
export function tellLines(
  log: Log,
  watched: Watched,
  stage: Stage,
  from: Speaker,
  to: Speaker,
  text: string,
): void {
  const { address: client, port } = watched
  const lines = text.split('\n', dialogueLinesMax).filter((line) => line !== '')
  for (const line of lines) {
    const time = Date.now()
    const told = line.replace(/\r$/, '')
    log.record({ event: 'dialogue', time, client, port, stage, from, to, text: told })
  }
}

/** The commands, and how many octets stand behind a DATA that was sent ahead. */
function splitAtData(text: string): readonly [string, number] {
  const end = /^DATA[ \t]*\r?\n/im.exec(text)
  if (end === null) return [text, 0]
  const at = end.index + end[0].length
  return [text.slice(0, at), text.length - at]
}
