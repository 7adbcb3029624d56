import { describe, expect, test } from 'vitest'
import { hostKey, networkKey, TargetGuard } from '../../src/probes/guard.ts'

const guard = new TargetGuard(['198.41.0.0/24', '2a00:1450::/32'], false)

describe('addresses that no probe may go to', () => {
  const forbidden = [
    ['127.0.0.1', 'loopback'],
    ['127.255.255.255', 'loopback'],
    ['10.1.2.3', 'private'],
    ['172.31.255.255', 'private'],
    ['192.168.1.1', 'private'],
    ['169.254.169.254', 'link-local, the metadata service'],
    ['100.64.0.1', 'shared, CGNAT'],
    ['100.127.255.255', 'shared, CGNAT'],
    ['224.0.0.1', 'multicast'],
    ['255.255.255.255', 'broadcast'],
    ['240.0.0.1', 'reserved'],
    ['0.0.0.0', 'this network'],
    ['198.18.0.1', 'benchmarks'],
    ['::', 'unspecified'],
    ['::1', 'loopback'],
    ['::ffff:127.0.0.1', 'mapped loopback'],
    ['::ffff:7f00:1', 'mapped loopback'],
    ['::7f00:1', 'compatible loopback'],
    ['::ffff:0:7f00:1', 'translated loopback'],
    ['::ffff:0:198.41.0.4', 'translated address of ours'],
    ['64:ff9b::7f00:1', 'NAT64 of loopback'],
    ['64:ff9b::a00:1', 'NAT64 of private'],
    ['64:ff9b:1::1', 'local NAT64'],
    ['2002:0a00:0001::1', '6to4 of private'],
    ['2002:7f00:0001::', '6to4 of loopback'],
    ['2001:0:7f00:1::1', 'Teredo'],
    ['2001:db8::1', 'documentation'],
    ['fc00::1', 'unique local'],
    ['fe80::1', 'link-local'],
    ['ff02::1', 'multicast'],
  ] as const
  test.each(forbidden)('%s (%s)', (address) => {
    expect(guard.reasonAgainst(address)).toBe('special-purpose')
  })

  test('our own networks, in every disguise', () => {
    expect(guard.reasonAgainst('198.41.0.4')).toBe('own network')
    expect(guard.reasonAgainst('::ffff:198.41.0.4')).toBe('own network')
    expect(guard.reasonAgainst('64:ff9b::c629:4')).toBe('own network')
    expect(guard.reasonAgainst('2a00:1450:1::1')).toBe('own network')
  })

  test.each(['', 'localhost', '127.1', '0x7f000001', '2130706433', '010.0.0.1', 'fe80::1%'])(
    '%j is no address',
    (text) => {
      expect(guard.reasonAgainst(text)).not.toBe('')
    },
  )

  test.each([
    '8.8.8.8',
    '100.63.255.255',
    '100.128.0.0',
    '172.32.0.1',
    '2600::1',
    '64:ff9b::808:808',
  ])('%s may be asked', (address) => {
    expect(guard.reasonAgainst(address)).toBe('')
  })

  test('the switch of tests opens loopback, and only that', () => {
    const open = new TargetGuard(['127.0.0.1/32'], true)
    expect(open.reasonAgainst('127.0.2.7')).toBe('')
    expect(open.reasonAgainst('::1')).toBe('')
    expect(open.reasonAgainst('127.0.0.1')).toBe('own network')
    expect(open.reasonAgainst('10.0.0.1')).toBe('special-purpose')
    expect(open.reasonAgainst('64:ff9b::7f00:2')).toBe('special-purpose')
  })
})

test('a host is an IPv4 address or a /64, a network a /24 or a /64', () => {
  expect(hostKey('192.0.2.7')).not.toBe(hostKey('192.0.2.8'))
  expect(hostKey('::ffff:192.0.2.7')).toBe(hostKey('192.0.2.7'))
  expect(hostKey('2600:1:2:3::1')).toBe(hostKey('2600:1:2:3:ffff::9'))
  expect(hostKey('2600:1:2:3::1')).not.toBe(hostKey('2600:1:2:4::1'))
  expect(networkKey('192.0.2.7')).toBe(networkKey('192.0.2.200'))
  expect(networkKey('192.0.2.7')).not.toBe(networkKey('192.0.3.7'))
  expect(hostKey('nonsense')).toBe('')
})
