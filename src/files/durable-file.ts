/**
 * Durable files: a file is written whole or not at all, and is there after a power cut.
 *
 * Temporary file in the same folder, fsync, rename over the target, fsync of the folder. A crash
 * leaves the old file and perhaps a `.tmp-…` beside it, which nobody reads. Any part of layer 4 may
 * use this.
 */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { messageOf, OperatingError } from '../base/errors.ts'

/** Writes a file whole or not at all, on this thread. Throws OperatingError FILE_WRITE. */
export function writeDurable(path: string, chunks: Iterable<Uint8Array>): void {
  const temporary = temporaryBeside(path)
  try {
    const file = openSync(temporary, 'wx', 0o644)
    try {
      for (const chunk of chunks) writeAll(file, chunk)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(temporary, path)
    syncFolder(dirname(path))
  } catch (fault) {
    rmSync(temporary, { force: true })
    throw writeFault(path, fault)
  }
}

/** The same without blocking the thread. Rejects with OperatingError FILE_WRITE. */
export async function writeDurableAsync(path: string, content: Uint8Array): Promise<void> {
  const temporary = temporaryBeside(path)
  try {
    const file = await open(temporary, 'wx', 0o644)
    try {
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
    const folder = await open(dirname(path), 'r')
    await folder.sync().finally(() => folder.close())
  } catch (fault) {
    await rm(temporary, { force: true })
    throw writeFault(path, fault)
  }
}

let serial = 0

function temporaryBeside(path: string): string {
  return join(dirname(path), `.${basename(path)}.tmp-${process.pid}-${serial++}`)
}

function writeAll(file: number, chunk: Uint8Array): void {
  for (let at = 0; at < chunk.length; ) at += writeSync(file, chunk, at)
}

function syncFolder(path: string): void {
  const folder = openSync(path, 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}

function writeFault(path: string, fault: unknown): OperatingError {
  const remedy = 'check the folder, its rights and the free space'
  const message = `file ${path}: not written: ${messageOf(fault)}; ${remedy}`
  return new OperatingError('FILE_WRITE', message, { cause: fault })
}
