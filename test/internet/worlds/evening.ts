/**
 * Evening: the world of `npm run demo`. Good senders, a dialup pool, open relays, forged senders,
 * and a flood of hosts that are on a blacklist, all writing to home.example.
 */
import type { Letter } from '../letter.ts'
import type { HostDescription, World } from '../world.ts'

const goodHosts = 12
const dialups = 40
const relays = 6
const flooders = 60

/** The blacklist of this world. */
export const floodNetwork = '127.66.0.0/16'

/** The world. */
export const evening: World = {
  mailhost: { address: '127.0.0.1', domains: ['home.example'] },
  hosts: { ...many(goodHosts, good), ...many(dialups, dialup), ...many(relays, relay) },
  domains: {
    'home.example': { addresses: ['127.0.0.1'] },
    ...Object.fromEntries(
      Array.from({ length: goodHosts }, (_, index) => [
        `town${index}.example`,
        { mx: [`mail.town${index}.example`], users: ['anna', 'bert', 'carl'] },
      ]),
    ),
  },
}

/** A letter of somebody in this world; `dice` is a number from 0 to 1 of the caller's. */
export function nextLetter(dice: () => number): Letter {
  const kind = dice()
  const town = pick(goodHosts, dice)
  const recipients = ['postbox@home.example']
  const sender = `anna@town${town}.example`
  if (kind < 0.45) return { from: `127.1.0.${town + 1}`, sender, recipients }
  if (kind < 0.6) return { from: `127.2.7.${pick(dialups, dice) + 1}`, sender, recipients }
  if (kind < 0.68) return { from: `127.3.0.${pick(relays, dice) + 1}`, sender, recipients }
  if (kind < 0.82) {
    const forged = `user${Math.floor(dice() * 1000)}@town${town}.example`
    return { from: `127.1.0.${pick(goodHosts, dice) + 1}`, sender: forged, recipients }
  }
  return { from: `127.66.0.${pick(flooders, dice) + 1}`, sender, recipients }
}

function many(
  count: number,
  make: (index: number) => readonly [string, HostDescription],
): Record<string, HostDescription> {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => make(index)))
}

function good(index: number): readonly [string, HostDescription] {
  return [`127.1.0.${index + 1}`, { name: `mail.town${index}.example`, smtp: 'clean' }]
}

function dialup(index: number): readonly [string, HostDescription] {
  const address = `127.2.7.${index + 1}`
  return [address, { name: `${address.replaceAll('.', '-')}.dialup.pool.example`, smtp: 'none' }]
}

function relay(index: number): readonly [string, HostDescription] {
  return [`127.3.0.${index + 1}`, { name: `gate${index}.open.example`, smtp: 'open-relay' }]
}

function pick(count: number, dice: () => number): number {
  return Math.floor(dice() * count)
}
