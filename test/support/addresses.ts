/**
 * Addresses as texts and numbers, written apart from src/base/ip-address.ts so that one proves the
 * other.
 */

/** `192.0.2.7` for 0xc0000207n. */
export function ipv4Text(value: bigint): string {
  return [24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 255n)).join('.')
}

/** 0xc0000207 for `192.0.2.7`. */
export function ipv4Number(text: string): number {
  return text.split('.').reduce((value, octet) => value * 256 + Number(octet), 0)
}

/** Eight full groups for 128 bits. */
export function ipv6Text(value: bigint): string {
  const text = value.toString(16).padStart(32, '0')
  return (text.match(/.{4}/g) ?? []).join(':')
}

/** Four words for an address with one `::`. */
export function ipv6Words(text: string): readonly number[] {
  const [head = '', tail = ''] = text.split('::')
  const parts = (part: string) => (part === '' ? [] : part.split(':'))
  const zeros = 8 - parts(head).length - parts(tail).length
  const groups = [...parts(head), ...Array<string>(zeros).fill('0'), ...parts(tail)]
  const digits = groups.map((group) => group.padStart(4, '0')).join('')
  return (digits.match(/.{8}/g) ?? []).map((word) => Number.parseInt(word, 16))
}
