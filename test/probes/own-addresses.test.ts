/**
 * Whom the reverse connection never goes to: special-purpose space and what is ours, which the
 * configuration tells.
 */
import { networkInterfaces } from 'node:os'
import { describe, expect, test } from 'vitest'
import { faultLine, parseConfig } from '../../src/config/load.ts'
import { probeSettingsOf } from '../../src/edge/probe-settings.ts'
import { TargetGuard } from '../../src/probes/guard.ts'
import { scriptedBroker } from '../support/scripted-outside.ts'

/** Networks of ours by a configuration that listens on one address, and what is added to it. */
function ownNetworksOf(more: string): readonly string[] {
  const text = `
    name = "mx1.example.net"
    recipients.domains = ["example.net"]
    mailhost.addresses = ["198.41.0.5:25", "[2600:1::5]:2525"]
    ${more}
  `
  const loaded = parseConfig(text, '/etc/activemx')
  if (!loaded.ok) throw new Error(loaded.error.map(faultLine).join('\n'))
  return probeSettingsOf(loaded.value, []).ownNetworks
}

const mailhosts = ['198.41.0.5', '2600:1::5']

describe('what is ours by the configuration', () => {
  test('listeners, what we probe from, mailhosts, those of routes, and own networks', () => {
    const own = ownNetworksOf(`
      listen.smtp = ["198.41.1.1:25", "[2600:2::1]:25"]
      probe.source = ["198.41.2.1"]
      probe.own_networks = ["8.8.8.0/24", "2600:3::/32"]
      [[mailhost.route]]
      domains = ["b.example"]
      addresses = ["198.41.0.6:25"]
    `)
    expect(own.toSorted()).toEqual(
      [
        ...mailhosts,
        '198.41.0.6',
        '198.41.1.1',
        '198.41.2.1',
        '2600:2::1',
        '8.8.8.0/24',
        '2600:3::/32',
      ].toSorted(),
    )
    const guard = new TargetGuard(own, false)
    const ours = ['198.41.0.5', '198.41.0.6', '198.41.1.1', '::ffff:198.41.1.1', '8.8.8.77']
    for (const address of [...ours, '2600:2::1', '2600:3:4::5']) {
      expect([address, guard.reasonAgainst(address)]).toEqual([address, 'own network'])
    }
    for (const address of ['198.41.0.7', '8.8.9.1', '2600:2::2']) {
      expect([address, guard.reasonAgainst(address)]).toEqual([address, ''])
    }
  })

  const anywhere = [
    ['0.0.0.0:25'],
    ['[::]:25'],
    ['0.0.0.0:25', '[::]:25'],
    ['8.8.8.8:25', '[::]:25'],
  ]
  test.each(anywhere)(
    'listening on %s: every address of the machine, and not 0.0.0.0',
    (...smtp) => {
      const own = ownNetworksOf(`listen.smtp = ${JSON.stringify(smtp)}`)
      const machine = Object.values(networkInterfaces()).flatMap((each) => each ?? [])
      expect(machine.length).toBeGreaterThan(0)
      for (const { address } of machine) expect(own).toContain(address.split('%', 1)[0])
      for (const address of mailhosts) expect(own).toContain(address)
      for (const address of ['', '0.0.0.0', '::']) expect(own).not.toContain(address)
      expect(own.includes('8.8.8.8')).toBe(smtp.includes('8.8.8.8:25'))
      // The guard takes them all: one that it could not read would end the program.
      expect(new TargetGuard(own, true).reasonAgainst('127.0.0.1')).toBe('own network')
    },
  )

  test('listening on one address: the others of the machine are not taken for ours', () => {
    expect(ownNetworksOf('listen.smtp = ["198.41.1.1:25"]').toSorted()).toEqual(
      [...mailhosts, '198.41.1.1'].toSorted(),
    )
  })
})

describe('the reverse connection to a client of', () => {
  const modes = { dialup: 'enforce', relay: 'enforce', user: 'off' } as const
  const settings = { modes, allowLoopback: false, ownNetworks: ['8.8.8.0/24', '2600:3::/32'] }
  test.each([
    ['private space', '10.1.2.3'],
    ['link-local space', '169.254.169.254'],
    ['our own network', '8.8.8.9'],
    ['our own network, mapped', '::ffff:8.8.8.9'],
    ['our own IPv6 network', '2600:3::1'],
    ['loopback', '127.0.0.1'],
    ['IPv6 loopback', '::1'],
    ['loopback through NAT64', '64:ff9b::7f00:1'],
  ])('%s is not made: nothing is found', async (_what, address) => {
    const { ask, asked } = scriptedBroker(settings, { addresses: {} })
    const findings = await ask(address, 'anna@good.example')
    expect(findings).toMatchObject([{ outcome: 'indeterminate', name: 'forbidden' }])
    expect(asked).toEqual([])
  })

  test('anybody else is', async () => {
    const { ask, asked } = scriptedBroker(settings, { addresses: {} })
    await ask('8.8.9.9', 'anna@good.example')
    expect(asked).toEqual(['8.8.9.9'])
  })

  test('loopback is, with the switch of tests, but for what is ours', async () => {
    const open = { ...settings, allowLoopback: true, ownNetworks: ['127.0.0.1/32'] }
    const { ask, asked } = scriptedBroker(open, { addresses: {} })
    await ask('127.0.0.1', 'anna@good.example')
    await ask('127.0.2.2', 'anna@good.example')
    expect(asked).toEqual(['127.0.2.2'])
  })
})
