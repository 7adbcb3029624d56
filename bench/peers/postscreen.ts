/**
 * The peer: Postfix's postscreen with an access list, logging as in its usual operation.
 */
import { freePort } from '../../test/support/ports.ts'
import type { Server } from '../processes.ts'
import { startPostfix } from './postfix.ts'

const services = `
postlog unix-dgram n - n - 1 postlogd
anvil unix - - n - 1 anvil
dnsblog unix - - n - 0 dnsblog
tlsproxy unix - - n - 0 tlsproxy
smtpd pass - - n - 100 smtpd
`

/** Starts postscreen on a core; every address of 127.10.0.0/16 is refused. */
export async function startPostscreen(core: number): Promise<Server> {
  const port = await freePort()
  return startPostfix({
    name: 'postscreen',
    core,
    port,
    services: `127.0.0.1:${port} inet n - n - 1 postscreen${services}`,
    files: { 'access.cidr': '127.10.0.0/16 reject\n127.0.0.0/8 permit\n' },
    settings: {
      mynetworks: '127.0.0.0/32',
      postscreen_access_list: 'cidr:FOLDER/access.cidr',
      postscreen_denylist_action: 'drop',
      postscreen_greet_wait: '1s',
      postscreen_cache_map: '',
      postscreen_client_connection_count_limit: '100000',
      postscreen_pre_queue_limit: '20000',
      postscreen_post_queue_limit: '20000',
    },
  })
}
