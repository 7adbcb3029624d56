import { describe, expect, test } from 'vitest'
import { isRoutingLocalPart, looksLikeRelayForm, parsePath } from '../../src/smtp/address.ts'
import { isHelloName } from '../../src/smtp/hello-name.ts'
import { isIpLiteral } from '../../src/smtp/ip-literal.ts'

describe('paths that follow RFC 5321 §4.1.2', () => {
  const cases: [string, string, string][] = [
    ['<a@b.example>', 'a', 'b.example'],
    ['<A.b+c@B.Example>', 'A.b+c', 'b.example'],
    ['<"a b"@b.example>', '"a b"', 'b.example'],
    ['<"a\\"b"@b.example>', '"a\\"b"', 'b.example'],
    ['<">"@b.example>', '">"', 'b.example'],
    ['<a@[192.0.2.1]>', 'a', '[192.0.2.1]'],
    ['<a@[IPv6:2001:db8::1]>', 'a', '[ipv6:2001:db8::1]'],
    ['<@x.example,@y.example:a@b.example>', 'a', 'b.example'],
    [`<${'a'.repeat(64)}@b.example>`, 'a'.repeat(64), 'b.example'],
    ['<\xc3\xbc@b\xc3\xbc.example>', '\xc3\xbc', 'b\xc3\xbc.example'],
    ['<>', '', ''],
  ]
  for (const [text, local, domain] of cases) {
    test(text.slice(0, 60), () => {
      const path = parsePath(text, 0, false)
      expect(path).toMatchObject({ local, domain, end: text.length })
    })
  }
  test('a bare local part is taken where it is allowed', () => {
    expect(parsePath('<Postmaster>', 0, true)).toMatchObject({ local: 'Postmaster', domain: '' })
    expect(parsePath('<Postmaster>', 0, false)).toBeUndefined()
  })
  test('a source route is left out of the mailbox', () => {
    const path = parsePath('<@x.example:a@b.example> SIZE=1', 0, false)
    expect(path).toMatchObject({ mailbox: 'a@b.example', hasSourceRoute: true, end: 24 })
  })
})

describe('what is no path', () => {
  const cases = [
    'a@b.example',
    '<a@b.example',
    '<a b@c.example>',
    '<.a@b.example>',
    '<a.@b.example>',
    '<a..b@c.example>',
    '<a@b..example>',
    '<a@b.example.>',
    '<a@-b.example>',
    '<a@b-.example>',
    '<a@b_c.example>',
    '<a@>',
    '<@b.example>',
    '<@b.example:>',
    '<@b.example;a@c.example>',
    '<"a@b.example>',
    '<"a\nb"@c.example>',
    '<a@[192.0.2.256]>',
    '<a@[IPv6:1::2::3]>',
    `<${'a'.repeat(65)}@b.example>`,
    `<a@${'b'.repeat(64)}.example>`,
    `<a@${'b.'.repeat(130)}example>`,
    '<\xc3@b.example>',
    '<\xed\xa0\x80@b.example>',
    '<a@b@c.example>',
    '<a@b.example,c@d.example>',
  ]
  for (const text of cases) {
    test(text.slice(0, 60), () => expect(parsePath(text, 0, true)).toBeUndefined())
  }
})

test('relay forms are seen in local parts and in texts that are no path', () => {
  for (const local of ['a%b', 'b!a', '"a@b"', 'a\\b', '"a:b"']) {
    expect(isRoutingLocalPart(local), local).toBe(true)
  }
  for (const local of ['a', 'a.b+c', '"a b"', "o'neil"]) {
    expect(isRoutingLocalPart(local), local).toBe(false)
  }
  for (const text of ['a@b@c', 'a%b@c', 'a b@c', 'a\0@b', '"a"@b']) {
    expect(looksLikeRelayForm(text), text).toBe(true)
  }
  for (const text of ['a@b', 'a', '', 'a..b@c']) expect(looksLikeRelayForm(text), text).toBe(false)
})

test('address literals', () => {
  for (const text of [
    '[192.0.2.1]',
    '[IPv6:::1]',
    '[ipv6:::ffff:192.0.2.1]',
    '[IPv6:1:2:3:4:5:6:7:8]',
  ]) {
    expect(isIpLiteral(text), text).toBe(true)
  }
  for (const text of [
    '[1.2.3]',
    '[1.2.3.4.5]',
    '[IPv6:]',
    '[IPv6:1:2:3]',
    '[::1]',
    '[x]',
    '[IPv6:12345::]',
    '[IPv6:1:2:3:4:5:6:7:8::]',
  ]) {
    expect(isIpLiteral(text), text).toBe(false)
  }
})

test('hello names: domains, literals, underscores; nothing that could harm a header or a log', () => {
  for (const name of ['c', 'mail_1.example', 'host.example.', '[192.0.2.1]']) {
    expect(isHelloName(name), name).toBe(true)
  }
  for (const name of ['', '.', 'a b', '`id`', 'a;b', 'a(b)', '\xe9', '[x]', 'a'.repeat(256)]) {
    expect(isHelloName(name), name).toBe(false)
  }
})
