/**
 * Town: the small world of most tests. Ours is home.example; everybody else wants to write to it.
 */
import type { World } from '../world.ts'

/** The world. */
export const town: World = {
  mailhost: { address: '127.0.0.1', domains: ['home.example'] },
  hosts: {
    // Honest senders and their servers.
    '127.0.1.1': { name: 'mail.good.example', smtp: 'clean' },
    '127.0.1.2': { name: 'mx2.good.example', smtp: 'clean' },
    '127.0.1.3': { name: 'smtp.anyone.example', smtp: 'accepts-all' },
    '127.0.1.4': { name: 'nomx.example', smtp: 'clean' },
    // A dialup pool: names that hold the address, no server.
    '127.0.2.7': { name: '127-0-2-7.dialup.pool.example', smtp: 'none' },
    '127.0.2.8': { name: '127-0-2-8.dialup.pool.example', smtp: 'none' },
    // A pool whose names say nothing by themselves.
    '127.0.3.10': { name: 'c10.zone4.town.example', smtp: 'none' },
    '127.0.3.11': { name: 'c11.zone4.town.example', smtp: 'none' },
    '127.0.3.12': { name: 'c12.zone4.town.example', smtp: 'none' },
    '127.0.3.13': { name: 'c13.zone4.town.example', smtp: 'none' },
    // A real mail host behind a firewall, and one without a name.
    '127.0.4.1': { name: 'mailout.shy.example', smtp: 'none' },
    '127.0.4.2': { smtp: 'none' },
    // Open relays.
    '127.0.5.1': { name: 'relay.open.example', smtp: 'open-relay' },
    '127.0.5.2': { name: 'pot.honey.example', smtp: 'honeypot' },
    // Servers with bad manners.
    '127.0.6.1': { name: 'mail.silent.example', smtp: 'silent' },
    '127.0.6.2': { name: 'mail.tarpit.example', smtp: 'tarpit' },
    '127.0.6.3': { name: 'mail.dribble.example', smtp: 'dribble' },
    '127.0.6.4': { name: 'mail.grey.example', smtp: 'greylisting' },
    '127.0.6.5': { name: 'mail.snob.example', smtp: 'refuses-us' },
    '127.0.6.6': { name: 'mail.lists.example', smtp: 'lists-us' },
    '127.0.6.7': { name: 'mail.nonull.example', smtp: 'refuses-null' },
    '127.0.6.8': { name: 'mail.busy.example', smtp: 'overloaded' },
    '127.0.6.9': { name: 'mail.endless.example', smtp: 'endless-reply' },
    '127.0.6.10': { name: 'mail.banner.example', smtp: 'endless-banner' },
    '127.0.6.11': { name: 'mail.closes.example', smtp: 'closes' },
    '127.0.6.12': { name: 'mail.hangsup.example', smtp: 'closes-at-rcpt' },
    '127.0.6.13': { name: 'mail.garbage.example', smtp: 'garbage' },
    '127.0.6.14': { name: 'mail.lf.example', smtp: 'lf-only' },
    '127.0.6.15': { name: 'mail.tls.example', smtp: 'tls-required' },
    '127.0.6.16': { name: 'mail.late.example', smtp: 'refuses-at-data' },
    '127.0.6.17': { name: 'mail.later.example', smtp: 'refuses-at-header' },
  },
  domains: {
    'home.example': { addresses: ['127.0.0.1'] },
    'good.example': { mx: ['mail.good.example', 'mx2.good.example'], users: ['anna', 'bert'] },
    'anyone.example': { mx: ['smtp.anyone.example'] },
    'nomx.example': { users: ['carl'] },
    'half.example': { mx: ['mailout.shy.example', 'mx2.good.example'], users: ['dora'] },
    'away.example': { mx: ['mailout.shy.example'], users: ['emil'] },
    'null.example': { mx: 'null' },
    'nowhere.example': { addresses: [] },
    'broken.example': { fault: 'servfail' },
    'slow.example': { fault: 'no-answer' },
    'gone.example': { fault: 'no-such-name' },
    'silent.example': { mx: ['mail.silent.example'], users: ['x'] },
    'tarpit.example': { mx: ['mail.tarpit.example'], users: ['x'] },
    'dribble.example': { mx: ['mail.dribble.example'], users: ['x'] },
    'grey.example': { mx: ['mail.grey.example'], users: ['x'] },
    'snob.example': { mx: ['mail.snob.example'], users: ['x'] },
    'lists.example': { mx: ['mail.lists.example'], users: ['x'] },
    'nonull.example': { mx: ['mail.nonull.example'], users: ['x'] },
    'busy.example': { mx: ['mail.busy.example'], users: ['x'] },
    'endless.example': { mx: ['mail.endless.example'], users: ['x'] },
    'banner.example': { mx: ['mail.banner.example'], users: ['x'] },
    'closes.example': { mx: ['mail.closes.example'], users: ['x'] },
    'hangsup.example': { mx: ['mail.hangsup.example'], users: ['x'] },
    'garbage.example': { mx: ['mail.garbage.example'], users: ['x'] },
    'lf.example': { mx: ['mail.lf.example'], users: ['x'] },
    'tls.example': { mx: ['mail.tls.example'], users: ['x'] },
    'late.example': { mx: ['mail.late.example'], users: ['x'] },
    'later.example': { mx: ['mail.later.example'], users: ['x'] },
  },
}
