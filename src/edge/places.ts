/**
 * Places: the files and folders of an instance that matter when it ceases to be root: what it has
 * written by then, and what a reload reads.
 */
import { dirname, isAbsolute } from 'node:path'
import { settingsOf } from '../config/differences.ts'
import type { Config } from '../config/schema.ts'
import { Feeds } from '../feeds/feeds.ts'
import type { Places, ReadFile } from './privileges.ts'

/** Of this configuration. @param configFile its file, '' = none */
export function placesOf(config: Config, configFile: string): Places {
  const { store, lists, log, control } = config
  return {
    trees: [store.path],
    folders: [lists.cache],
    files: isAbsolute(log.to) ? [log.to] : [],
    madeFolders: [dirname(control.socket)],
    read: [
      ...(configFile === '' ? [] : [{ name: '--config', path: configFile }]),
      ...readFilesOf(config),
    ],
  }
}

/** Files that start and reload read: every path that a reload takes. */
export function readFilesOf(config: Config): readonly ReadFile[] {
  return settingsOf(config).flatMap(({ key: name, type, affects, value }) => {
    const isRead = type === 'path' && affects === 'reload'
    const path = String(value)
    return !isRead || path === '' || Feeds.isFeed(path) ? [] : [{ name, path }]
  })
}
