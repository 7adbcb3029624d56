/**
 * Names of users by number, in letters: a sender key folds longer runs of digits into one.
 */

/** The local part of a user. */
export function nameOf(user: number): string {
  return [...String(user)].map((digit) => 'abcdefghij'[Number(digit)]).join('')
}
