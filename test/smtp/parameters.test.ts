import { describe, expect, test } from 'vitest'
import { parseMailParameters, parseRecipientParameters } from '../../src/smtp/parameters.ts'

const all = new Set(['SIZE', '8BITMIME', 'SMTPUTF8', 'DSN'])

describe('MAIL', () => {
  const cases: { input: string; text?: string; fault?: string }[] = [
    { input: '', text: '' },
    { input: ' SIZE=10 body=8bitmime', text: ' SIZE=10 BODY=8bitmime' },
    { input: ' SMTPUTF8 RET=HDRS ENVID=a+2Bb', text: ' SMTPUTF8 RET=HDRS ENVID=a+2Bb' },
    { input: 'SIZE=10', fault: 'syntax' },
    { input: ' SIZE=10  BODY=7BIT', fault: 'syntax' },
    { input: ' SIZE=10 SIZE=11', fault: 'syntax' },
    { input: ' SIZE', fault: 'size-syntax' },
    { input: ' SIZE=-1', fault: 'size-syntax' },
    { input: ` SIZE=${'9'.repeat(21)}`, fault: 'size-syntax' },
    { input: ' SIZE=', fault: 'syntax' },
    { input: ' =1', fault: 'syntax' },
    { input: ' -A=1', fault: 'syntax' },
    { input: ' BODY=BINARYMIME', fault: 'unknown' },
    { input: ' BODY=9BIT', fault: 'syntax' },
    { input: ' RET=ALL', fault: 'syntax' },
    { input: ' ENVID=+2', fault: 'syntax' },
    { input: ` ENVID=${'a'.repeat(101)}`, fault: 'syntax' },
    { input: ' SMTPUTF8=yes', fault: 'syntax' },
    { input: ' AUTH=<>', fault: 'unknown' },
  ]
  for (const { input, text = '', fault } of cases) {
    test(input, () => expect(parseMailParameters(input, all)).toMatchObject({ text, fault }))
  }
  test('nothing is taken that is not offered', () => {
    for (const input of [' SIZE=1', ' BODY=7BIT', ' SMTPUTF8', ' RET=FULL', ' ENVID=x']) {
      expect(parseMailParameters(input, new Set()).fault).toBe('unknown')
    }
  })
})

describe('RCPT', () => {
  const cases: { input: string; text?: string; fault?: string }[] = [
    { input: '', text: '' },
    { input: ' NOTIFY=never', text: ' NOTIFY=never' },
    {
      input: ' NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a@b',
      text: ' NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a@b',
    },
    { input: ' NOTIFY=NEVER,DELAY', fault: 'syntax' },
    { input: ' NOTIFY=DELAY,DELAY', fault: 'syntax' },
    { input: ' NOTIFY', fault: 'syntax' },
    { input: ' ORCPT=a@b', fault: 'syntax' },
    { input: ' ORCPT=rfc822;', fault: 'syntax' },
    { input: ' SIZE=1', fault: 'unknown' },
  ]
  for (const { input, text = '', fault } of cases) {
    test(input, () => expect(parseRecipientParameters(input, all)).toMatchObject({ text, fault }))
  }
})
