/**
 * The default name of a list: its file's name without suffix.
 */

/**
 * `drop` for `lists/drop.netset`, `lists/drop.netset.gz` and `https://example.net/drop.txt?x=1`.
 */
export function listNameOf(file: string): string {
  const path = /^https?:\/\//.test(file) ? file.replace(/[?#].*$/, '') : file
  const base = path.replace(/\/+$/, '').replace(/^.*\//, '')
  const name = base.replace(/\.gz$/i, '').replace(/(?<=.)\.[^.]*$/, '')
  return name === '' ? 'list' : name
}
