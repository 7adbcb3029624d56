/**
 * Every mailhost that a configuration names, whatever mail goes to it.
 */
import type { Config } from './schema.ts'

/** The mailhosts of all domains and those of the routes; one may be named more than once. */
export function allMailhosts({ mailhost }: Pick<Config, 'mailhost'>) {
  return [...mailhost.addresses, ...mailhost.route.flatMap(({ addresses }) => addresses)]
}
