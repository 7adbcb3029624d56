import { expect, test } from 'vitest'
import { bodyScanner } from '../../src/io/native-body-scanner.ts'
import { scanBodyByteLoop } from '../../src/smtp/body-scanner.ts'
import { octetsOf } from '../../src/smtp/octets.ts'
import { randomOctets, runBodyScannerContract } from '../contract/body-scanner.ts'
import { Random } from '../support/random.ts'

runBodyScannerContract('byte loop', scanBodyByteLoop)
runBodyScannerContract('native', bodyScanner())

test('the native scanner is there and agrees with the byte loop (seed 12)', () => {
  const scan = bodyScanner()
  expect(scan).not.toBe(scanBodyByteLoop)
  const random = new Random(12)
  for (let i = 0; i < 3000; i++) {
    const octets = randomOctets(random)
    const start = random.below(octets.length + 1)
    const state = random.pick([0, 1, 2, 3, 4, 5, 0x0801, 0x03e602])
    const want = scanBodyByteLoop(octets, start, octets.length, state)
    expect(scan(octets, start, octets.length, state)).toBe(want)
  }
})

test('the native scanner refuses a range outside its chunk', () => {
  expect(() => bodyScanner()(octetsOf('abc'), 0, 4, 0)).toThrow(RangeError)
  expect(() => bodyScanner()(octetsOf('abc'), 2, 1, 0)).toThrow(RangeError)
})
