/**
 * readListFile: the octets of a list file, unpacked where gzip packed them, within a maximum.
 *
 * For the threads of the CPU pool and for commands: it blocks its thread. What unpacks to more than
 * the maximum is refused before it is held (a packed megabyte may unpack to a gigabyte).
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { messageOf, OperatingError } from '../base/errors.ts'
import { listOctetsMax } from '../base/limits.ts'

/** Throws OperatingError LIST_UNREADABLE, LIST_TOO_LARGE, LIST_GZIP. */
export function readListFile(path: string): Uint8Array {
  return unpackList(readWhole(path), path)
}

/**
 * Unpacks gzip, told by its magic number; other octets are given back. Throws like readListFile.
 */
export function unpackList(octets: Uint8Array, path: string): Uint8Array {
  if (octets[0] !== 0x1f || octets[1] !== 0x8b) return octets
  try {
    return gunzipSync(octets, { maxOutputLength: listOctetsMax })
  } catch (fault) {
    const message = messageOf(fault)
    const isTooLarge = message.includes('Cannot create a Buffer larger than')
    if (isTooLarge) throw tooLarge(path, 'unpacks to more than')
    throw new OperatingError('LIST_GZIP', `list ${path}: damaged gzip: ${message}; fetch it again`)
  }
}

function readWhole(path: string): Uint8Array {
  let file: number
  try {
    file = openSync(path, 'r')
  } catch (fault) {
    throw unreadable(path, messageOf(fault))
  }
  try {
    const status = fstatSync(file)
    if (!status.isFile()) throw unreadable(path, 'not a regular file')
    if (status.size > listOctetsMax) throw tooLarge(path, `has ${status.size} octets, above`)
    return readFrom(file, status.size)
  } finally {
    closeSync(file)
  }
}

/** Reads what is there now: a file that shrinks meanwhile is short, one that grows is cut. */
function readFrom(file: number, size: number): Uint8Array {
  const octets = new Uint8Array(size)
  let at = 0
  while (at < size) {
    const count = readSync(file, octets, at, size - at, at)
    if (count === 0) break
    at += count
  }
  return octets.subarray(0, at)
}

function unreadable(path: string, why: string): OperatingError {
  const remedy = 'check the path and its rights'
  return new OperatingError('LIST_UNREADABLE', `list ${path}: cannot be read: ${why}; ${remedy}`)
}

function tooLarge(path: string, what: string): OperatingError {
  const message = `list ${path}: ${what} the maximum of ${listOctetsMax} octets; split it`
  return new OperatingError('LIST_TOO_LARGE', message)
}
