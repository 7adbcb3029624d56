import { describe, expect, test } from 'vitest'
import { effective, isStressedAt, loadOf } from '../../src/config/effective.ts'
import { faultLine, loadConfig, parseConfig } from '../../src/config/load.ts'
import { warningsOf } from '../../src/config/rules.ts'
import type { Config } from '../../src/config/schema.ts'

const least = `
name = "mx1.example.net"
mailhost.addresses = ["10.0.0.5:25"]
recipients.domains = ["example.net"]
`

function config(more = ''): Config {
  const loaded = parseConfig(least + more, '/etc/activemx')
  if (!loaded.ok) throw new Error(loaded.error.map(faultLine).join('\n'))
  return loaded.value
}

function faults(text: string): readonly string[] {
  const loaded = parseConfig(text, '/etc/activemx')
  return loaded.ok ? [] : loaded.error.map(faultLine)
}

describe('reading', () => {
  test('the least configuration has every default', () => {
    const { listen, mailhost, tests, body, store } = config()
    expect(listen.smtp).toEqual(['0.0.0.0:25', '[::]:25'])
    expect(listen.rateMax).toEqual({ count: 60, windowMs: 60_000 })
    expect(mailhost.addresses).toEqual([{ address: '10.0.0.5', port: 25 }])
    expect(mailhost.waitMs).toBe(5000)
    expect(tests.dialup.mode).toBe('off')
    expect(body.sizeMaxOctets).toBe(50_000_000)
    expect(store.path).toBe('/etc/activemx/var/store')
  })

  test('every test has its mode, and what is done where it finds nothing out', () => {
    const each = ['dialup', 'relay', 'user', 'headers']
      .map((name) => `[tests.${name}]\nmode = "off"\nindeterminate = "tempfail"\n`)
      .join('')
    const { dialup, relay, user, headers } = config(each).tests
    for (const one of [dialup, relay, user, headers]) {
      expect(one).toMatchObject({ mode: 'off', indeterminate: 'tempfail' })
    }
  })

  test('is frozen to the last list', () => {
    const { recipients } = config()
    expect(() => (recipients.domains as string[]).push('evil.example')).toThrow(TypeError)
  })

  test('survives a structured clone, as a worker thread gets it', () => {
    expect(structuredClone(config())).toEqual(config())
  })

  test('times, sizes and rates; "" and 0 are no limit', () => {
    const { listen, body, lists } = config(`
      body.size_max = "64KiB"
      [listen]
      greet_delay = "1.5s"
      rate_max = ""
      connections_max = 0
      session_max = 0
      [[lists.blacklist]]
      file = "lists/drop.netset"
      expires = ""
    `)
    expect(listen.greetDelayMs).toBe(1500)
    expect(listen.rateMax).toEqual({ count: 0, windowMs: 0 })
    expect(listen.connectionsMax).toBe(0)
    expect(listen.sessionMaxMs).toBe(0)
    expect(body.sizeMaxOctets).toBe(65_536)
    expect(lists.blacklist[0]?.expiresMs).toBe(0)
    expect(lists.blacklist[0]?.file).toBe('/etc/activemx/lists/drop.netset')
  })
})

describe('faults: one line each with key, value and remedy', () => {
  const cases: readonly { label: string; more: string; want: string | RegExp }[] = [
    {
      label: 'unknown key: the nearest name',
      more: 'listen.greet_delya = "5s"',
      want: 'listen.greet_delya = "5s": unknown key; did you mean greet_delay?',
    },
    {
      label: 'unknown table',
      more: '[mailhosts]\nwait = "5s"',
      want: 'mailhosts = {"wait":"5s"}: unknown key; did you mean mailhost?',
    },
    {
      label: 'nothing near',
      more: 'frobnicate = 1',
      want: 'frobnicate = 1: unknown key; remove it',
    },
    {
      label: 'time without unit',
      more: 'listen.greet_delay = 5',
      want: 'listen.greet_delay = 5: write a time such as "5s", "10m" or "24h", at most 60s',
    },
    { label: 'time too long', more: 'listen.greet_delay = "61s"', want: /at most 60s$/ },
    {
      label: 'not a word',
      more: 'tests.relay.mode = "yes"',
      want: /write one of "off", "observe"/,
    },
    {
      label: 'not a flag',
      more: 'whitelist.learn = "true"',
      want: /true or false, without quotes/,
    },
    { label: 'not a share', more: 'stress.at = 80', want: /a share from 0 to 1/ },
    { label: 'not a network', more: 'listen.proxy_protocol_from = ["10.0.0.0/33"]', want: /\[0\]/ },
    {
      label: 'no port',
      more: 'listen.smtp = ["10.0.0.5"]',
      want: /^listen\.smtp\[0\] = "10\.0\.0\.5"/,
    },
    {
      label: 'list as table',
      more: 'lists.blacklist = "a"',
      want: /write it as \[\[blacklist\]\]/,
    },
    { label: 'section as value', more: 'log = "json"', want: 'log = "json": write it as a table' },
    { label: 'control character', more: 'name = "a\\u000db"', want: /without control characters/ },
    {
      label: 'second syntax',
      more: 'log.format = json',
      want: /^line 5, column \d+: Invalid TOML document/,
    },
  ]
  test.each(cases)('$label', ({ more, want }) => {
    const text = more.startsWith('name') ? `${more}\n${least.replace(/name.*/, '')}` : least + more
    const found = faults(text)
    expect(found).toHaveLength(1)
    if (typeof want === 'string') expect(found[0]).toBe(want)
    else expect(found[0]).toMatch(want)
  })

  test('all of them at once', () => {
    expect(faults(`${least}log.format = "xml"\nlog.too = "stderr"\ndns.tries = 99`)).toHaveLength(3)
  })

  test('a file that is not there', () => {
    const loaded = loadConfig('/nonexistent/activemx.toml')
    expect(loaded.ok).toBe(false)
    if (!loaded.ok)
      expect(faultLine(loaded.error[0] ?? never())).toMatch(
        /ENOENT.*\/nonexistent.*; name a readable file$/,
      )
  })
})

describe('rules between settings', () => {
  const cases: readonly { label: string; more: string; want: RegExp }[] = [
    {
      label: 'client_identity = proxy with shared sessions',
      more: 'mailhost.client_identity = "proxy"\nmailhost.sessions = "shared"\nmailhost.tls = "required"',
      want: /^mailhost\.client_identity = "proxy": takes a connection per client/,
    },
    {
      label: 'shared sessions without TLS',
      more: 'mailhost.sessions = "shared"',
      want: /^mailhost\.tls = "off": shared sessions are TLS sessions/,
    },
    {
      label: 'a test without probe.helo',
      more: 'tests.user.mode = "observe"',
      want: /^probe\.helo = "": set it before tests\.user\.mode is switched on/,
    },
    {
      label: 'a source of probes that is no address',
      more: 'probe.source = ["198.51.100.7", "eth0"]',
      want: /^probe\.source = "eth0": write local addresses/,
    },
    {
      label: 'the relay test without an address of ours',
      more: 'tests.relay.mode = "observe"\nprobe.helo = "p.example.net"',
      want: /^probe\.relay_recipient = "": set it before/,
    },
    {
      label: 'the relay test with somebody else’s address',
      more: 'tests.relay.mode = "observe"\nprobe.helo = "p.example.net"\nprobe.relay_recipient = "a@b.example"',
      want: /must be in a domain of ours/,
    },
    {
      label: 'somebody else’s address for an operator to offer, the relay test off',
      more: 'probe.relay_recipient = "a@b.example"',
      want: /^probe\.relay_recipient = "a@b\.example": must be in a domain of ours/,
    },
    {
      label: 'call-ahead before no test',
      more: 'tests.user.call_ahead = true',
      want: /^tests\.user\.call_ahead = true: comes before the active tests.*switch one on/,
    },
    { label: 'key without certificate', more: 'tls.key = "k.pem"', want: /^tls\.certificate/ },
    { label: 'the mailhost is ourselves', more: 'listen.smtp = ["10.0.0.5:25"]', want: /go round/ },
    {
      label: 'two lists of one name',
      more: '[[lists.blacklist]]\nfile = "a/drop.txt"\n[[lists.blacklist]]\nfile = "b/drop.netset"',
      want: /^lists\.blacklist\[1\]\.name = "drop": is taken/,
    },
    {
      label: 'a list called dynamic',
      more: '[[lists.blacklist]]\nfile = "dynamic.txt"',
      want: /is taken by another list/,
    },
    {
      label: 'a reply that is no refusal',
      more: '[[lists.blacklist]]\nfile = "a.txt"\nreply = "250 welcome"',
      want: /^lists\.blacklist\[0\]\.reply = "250 welcome": must begin with 554 or 421/,
    },
    {
      label: 'a feed without TLS',
      more: '[[lists.blacklist]]\nfile = "http://lists.example/a.txt"',
      want: /only https/,
    },
    {
      label: 'a domain with two routes',
      more: '[[mailhost.route]]\ndomains = ["a.example", "A.example"]\naddresses = ["10.0.0.9:25"]',
      want: /has a route already/,
    },
    {
      label: 'stress ends above its begin',
      more: 'stress.until = 0.9',
      want: /^stress\.until = 0\.9/,
    },
  ]
  test.each(cases)('$label', ({ more, want }) => {
    const found = faults(least + more)
    expect(found).toHaveLength(1)
    expect(found[0]).toMatch(want)
  })

  test.each([
    ['["0.0.0.0:25"]', '127.0.0.1:25'],
    ['["0.0.0.0:25"]', '[::ffff:127.0.0.2]:25'],
    ['["[::]:25"]', '[::1]:25'],
  ])('listen.smtp = %s and the mailhost %s: mail would go round', (smtp, mailhost) => {
    const [found] = faults(withMailhost(smtp, mailhost))
    expect(found).toContain(`mailhost.addresses = "${mailhost}": is one of listen.smtp`)
  })

  test.each([
    ['["0.0.0.0:25"]', '127.0.0.1:2525'],
    ['["0.0.0.0:25"]', '[::1]:25'],
    ['["192.0.2.1:25"]', '127.0.0.1:25'],
  ])('listen.smtp = %s and the mailhost %s are two', (smtp, mailhost) => {
    expect(faults(withMailhost(smtp, mailhost))).toEqual([])
  })

  test('more mailhosts than there are places for, and a listener named twice', () => {
    const many = (count: number) =>
      Array.from({ length: count }, (_, at) => `"192.0.2.${at}:25"`).join(', ')
    const withMany = (count: number) =>
      faults(least.replace(/mailhost\.addresses = .*/, `mailhost.addresses = [${many(count)}]`))
    expect(withMany(64)).toEqual([])
    expect(withMany(65)).toEqual([
      expect.stringMatching(/^mailhost\.addresses = 65: name at most 64/),
    ])
    const twice = 'listen.smtp = ["192.0.2.9:25", "127.0.0.1:0", "127.0.0.1:0", "192.0.2.9:25"]'
    expect(faults(`${least}${twice}`)).toEqual([
      'listen.smtp = "192.0.2.9:25": is there twice; name it once',
    ])
  })

  test('the header filter needs no probing identity', () => {
    expect(faults(`${least}tests.headers.mode = "enforce"`)).toEqual([])
  })

  test('an empty configuration names what is missing', () => {
    expect(faults('name = "mx1.example.net"')).toEqual([
      'mailhost.addresses = []: name at least one mailhost',
      'recipients.domains = []: name the domains that are ours, here or in recipients.domains_file',
    ])
  })

  test('what is allowed but risky is a warning', () => {
    expect(warningsOf(config('lists.allow_loopback = true'))).toEqual([
      'lists.allow_loopback = true: lists may refuse this machine itself',
    ])
  })
})

describe('stress', () => {
  test('the smaller of a setting and its stress value holds; 0 is no limit', () => {
    const ordinary = config('listen.command_wait = "5s"\nlisten.per_address_max = 0')
    const stressed = effective(ordinary, true)
    expect(stressed.listen.commandWaitMs).toBe(5000)
    expect(stressed.listen.firstCommandWaitMs).toBe(10_000)
    expect(stressed.listen.perAddressMax).toBe(20)
    expect(stressed.listen.smtp).toEqual(ordinary.listen.smtp)
    expect(effective(ordinary, false)).toBe(ordinary)
  })

  test('stress values are settings below [stress]', () => {
    const stressed = effective(config('[stress.listen]\ncommand_wait = "3s"'), true)
    expect(stressed.listen.commandWaitMs).toBe(3000)
    expect(faults(`${least}stress.listen.workers = 1`)[0]).toMatch(/unknown key/)
  })

  test('the load is that of what runs out first: connections, or sessions of the workers', () => {
    const load = (limits: string, workers: number) =>
      loadOf(config(limits), { connections: 600, waiting: 50, tarpits: 50 }, workers)
    expect(load('listen.connections_max = 1000', 1)).toBe(0.6)
    expect(load('listen.connections_max = 0', 1)).toBe(0.05)
    expect(load('listen.sessions_per_worker_max = 250', 2)).toBe(1)
    expect(load('listen.sessions_per_worker_max = 250', 4)).toBe(0.5)
  })

  test('begins at one load and ends at a lower one', () => {
    const loads = [0.5, 0.79, 0.8, 0.7, 0.61, 0.59, 0.7]
    let isStressed = false
    const seen = loads.map((load) => {
      isStressed = isStressedAt(config(), load, isStressed)
      return isStressed
    })
    expect(seen).toEqual([false, false, true, true, true, false, false])
  })
})

function withMailhost(smtp: string, mailhost: string): string {
  const domains = 'recipients.domains = ["example.net"]'
  return `name = "mx1.example.net"\nlisten.smtp = ${smtp}\nmailhost.addresses = ["${mailhost}"]\n${domains}`
}

function never(): never {
  throw new Error('a fault was expected')
}
