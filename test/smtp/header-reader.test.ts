import { expect, test } from 'vitest'
import { dateTime } from '../../src/smtp/date.ts'
import { DomainSet } from '../../src/smtp/domain-set.ts'
import { fieldsOf, findHeaderEnd, unfoldedValue } from '../../src/smtp/header-reader.ts'
import { octetsOf, textOf } from '../../src/smtp/octets.ts'

test('the header ends at the first empty line, however the octets came', () => {
  const cases: [string, number][] = [
    ['A: 1\r\n\r\nbody', 6],
    ['\r\nbody', 0],
    ['A: 1\r\nB: 2\r\n', -1],
    ['A: 1\r\n\r', -1],
    ['', -1],
    ['A: 1\r\n \r\n\r\n', 9],
  ]
  for (const [text, want] of cases) {
    const octets = octetsOf(text)
    expect(findHeaderEnd(octets, 0, 0, octets.length), text).toBe(want)
    let found = -1
    for (let length = 1; length <= octets.length && found < 0; length++) {
      found = findHeaderEnd(octets, 0, length - 1, length)
    }
    expect(found, text).toBe(want)
  }
})

test('fields: folding, blanks before the colon, junk lines', () => {
  const text = 'Subject: a\r\n\tb\r\njunk line\r\nX-Odd : c\r\n: d\r\n\xe9: e\r\nLast:\r\n'
  const octets = octetsOf(text)
  const fields = fieldsOf(octets, 0, octets.length).map((field) => {
    const value = unfoldedValue(octets, field, 100)
    return [field.name, textOf(value, 0, value.length)]
  })
  expect(fields).toEqual([
    ['subject', 'a\tb'],
    ['x-odd', 'c'],
    ['last', ''],
  ])
})

test('fields are read without the dots that stand at the beginning of lines on the wire', () => {
  const octets = octetsOf('.A: 1\r\n. 2\r\nB:\r\n.\t.3\r\n..C: 4\r\n.D: .5\r\n. \r\n.6: 7')
  const fields = fieldsOf(octets, 0, octets.length).map((field) => {
    const value = unfoldedValue(octets, field, 100)
    return [field.name, textOf(value, 0, value.length)]
  })
  expect(fields).toEqual([
    ['a', '1 2'],
    ['b', '.3'],
    ['.c', '4'],
    ['d', '.5'],
    ['6', '7'],
  ])
})

test('dates are those of RFC 5322', () => {
  expect(dateTime(Date.UTC(2026, 10, 21, 23, 5, 9))).toBe('Sat, 21 Nov 2026 23:05:09 +0000')
  expect(dateTime(Date.UTC(2024, 1, 29))).toBe('Thu, 29 Feb 2024 00:00:00 +0000')
})

test('a wildcard holds every name below, not the name itself', () => {
  const domains = new DomainSet(['Example.net', '*.example.org'])
  for (const name of ['example.net', 'a.example.org', 'b.a.example.org']) {
    expect(domains.has(name), name).toBe(true)
  }
  for (const name of ['a.example.net', 'example.org', 'notexample.org', 'org', '']) {
    expect(domains.has(name), name).toBe(false)
  }
})
