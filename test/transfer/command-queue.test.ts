import { describe, expect, test } from 'vitest'
import { CommandQueue } from '../../src/transfer/command-queue.ts'

describe('the commands of a session to a mailhost', () => {
  test('without PIPELINING one goes out at a time', () => {
    const queue = new CommandQueue()
    queue.add('mail', 'MAIL\r\n')
    queue.add('rcpt', 'RCPT\r\n')
    expect([queue.take(), queue.take(), queue.due]).toEqual(['MAIL\r\n', '', 1])
    expect([queue.answer(), queue.take(), queue.oldest]).toEqual(['mail', 'RCPT\r\n', 'rcpt'])
  })

  test('with PIPELINING all go out in one segment and are answered in order', () => {
    const queue = new CommandQueue()
    queue.isPipelining = true
    queue.add('rset', 'RSET\r\n')
    queue.add('mail', 'MAIL\r\n')
    expect([queue.take(), queue.due]).toEqual(['RSET\r\nMAIL\r\n', 2])
    expect([queue.answer(), queue.answer(), queue.answer()]).toEqual(['rset', 'mail', undefined])
    expect(queue.isEmpty).toBe(true)
  })

  test('a command that is sent at once is answered before those that wait', () => {
    const queue = new CommandQueue()
    queue.add('mail', 'MAIL\r\n')
    queue.expect('ehlo')
    expect([queue.oldest, queue.answer(), queue.take()]).toEqual(['ehlo', 'ehlo', 'MAIL\r\n'])
  })

  test('what is dropped unsent is never sent; what is due stays due', () => {
    const queue = new CommandQueue()
    queue.add('mail', 'MAIL\r\n')
    queue.take()
    queue.add('rcpt', 'RCPT\r\n')
    queue.dropUnsent()
    expect([queue.answer(), queue.take(), queue.isEmpty]).toEqual(['mail', '', true])
  })
})
